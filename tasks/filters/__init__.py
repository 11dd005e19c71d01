"""Which documents are kept: one filter a file, chosen by name under ``clean.filters``."""
