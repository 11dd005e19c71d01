"""Model families: one recipe a file, chosen by name under ``train.recipe``."""
