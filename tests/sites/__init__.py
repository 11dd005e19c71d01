"""Real HTTP sites for tests, friendly and hostile."""
