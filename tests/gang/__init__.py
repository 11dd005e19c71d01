"""A gang for tests: real supervisors around a small scripted child."""
