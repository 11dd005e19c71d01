"""The deployment's own settings: what its environment says, or the default where that makes no sense.

Seconds that make no sense stop no night: their default holds. Whatever makes no sense is named by the import error of
``dags/faults.py``.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping

from tasks.errors import BadInput

log = logging.getLogger(__name__)

RETRY_DELAY = "NIGHTSHIFT_RETRY_DELAY"
KILL_GRACE = "NIGHTSHIFT_KILL_GRACE"
SECONDS = {RETRY_DELAY: 30.0, KILL_GRACE: 10.0}
"""The variables that hold seconds, with their defaults; ``plugins/runtime/guard.py`` reads the second one itself."""

AIRFLOW_ID = "NIGHTSHIFT_AIRFLOW_ID"
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def airflow_name(environ: Mapping[str, str]) -> str | None:
    """How this Airflow is told from others that share a cluster with it; None where nobody said.

    Raises:
        BadInput: the name is no label of Kubernetes. There is no default: pods of two names would be nobody's.
    """
    given = environ.get(AIRFLOW_ID)
    if given and not _LABEL.fullmatch(given):
        raise BadInput(
            f"{AIRFLOW_ID}={given!r}: expected at most 63 letters, digits, -, _ and ., the first and last no mark; "
            "no pod is started until it is mended"
        )
    return given or None


def seconds(name: str, environ: Mapping[str, str]) -> float:
    """The seconds that a variable of ``SECONDS`` says, or its default."""
    if fault := _fault(name, environ):
        log.warning("%s", fault)
        return SECONDS[name]
    return float(environ.get(name) or SECONDS[name])


def wrong(environ: Mapping[str, str]) -> list[str]:
    """One line for each variable that makes no sense."""
    found = [fault for name in SECONDS if (fault := _fault(name, environ))]
    try:
        airflow_name(environ)
    except BadInput as error:
        found.append(str(error))
    return found


def _fault(name: str, environ: Mapping[str, str]) -> str | None:
    given = environ.get(name)
    try:
        if not given or 0 <= float(given) < math.inf:
            return None
    except ValueError:
        pass
    return f"{name}={given!r}: expected seconds, as in 30 or 0.5; {SECONDS[name]:g} are taken until it is mended"
