"""Runs a suite: frames, Great Expectations, the readable failure, Data Docs, quarantine."""
