"""A tiny mirrored recipe, a child that can be given faults, and a test that plays its supervisor."""
