"""What a step as a pod and a training as a gang of pods have in common: the corpus that says where and how."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

from plugins.operators.step import Step
from plugins.runtime.pods import settings_of
from tasks.config import Corpus, load_corpus
from tasks.config.kubernetes import Kubernetes


class ClusterStep(Step, KubernetesPodOperator):
    """A step in the cluster that its corpus' section ``kubernetes`` names."""

    template_fields = Step.template_fields
    template_fields_renderers = Step.template_fields_renderers

    def _load(self) -> tuple[Corpus, Kubernetes, str]:
        """The corpus, its settings and its text, variables unexpanded; from now on ``client`` reaches its cluster.

        Raises:
            BadInput: the corpus is wrong, or has no section ``kubernetes``.
        """
        path = Path(self.corpus)
        corpus = load_corpus(path, os.environ)
        settings = settings_of(corpus)
        self.kubernetes_conn_id = settings.connection
        self.in_cluster = settings.in_cluster
        self.config_file = settings.config_file
        self.cluster_context = settings.context
        self.startup_timeout_seconds = self.schedule_timeout_seconds = int(settings.start_timeout.total_seconds())
        self.termination_grace_period = int(settings.grace.total_seconds())
        return corpus, settings, path.read_text(encoding="utf-8")
