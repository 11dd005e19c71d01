"""Poison for cleaning: inputs, what is done with them, and processes that may die of one."""
