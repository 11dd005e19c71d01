"""Kinds of data, one a file: what a row is, how raw input becomes one, and what must hold of it."""
