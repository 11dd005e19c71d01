"""Trainings of ``bench_train``: synthetic data, real commands, pinned to cores."""
