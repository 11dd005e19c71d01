"""Near-duplicates of a corpus of any size: signatures, an index of them, pairs and who of them stays. No texts."""
