"""How documents are split: one strategy a file, chosen by name under ``split.strategy``."""
