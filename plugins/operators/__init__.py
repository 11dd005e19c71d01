"""Thin operators: each runs one ``nightshift`` command where the corpus' runtime says."""
