"""Where a corpus comes from: one source a file, chosen by name under ``source.live`` or ``source.history``."""
