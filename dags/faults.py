"""Shows broken corpus files and settings as an import error in the Airflow web UI. An Airflow file without a DAG.

A file of its own: Airflow lets nobody trigger a DAG whose file has an import error, so that the file that makes
the DAGs of the good corpora must not be the one that fails.
"""

from __future__ import annotations

from factory import require_nothing_wrong

require_nothing_wrong()
