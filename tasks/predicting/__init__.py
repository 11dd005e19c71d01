"""What scoring a partition and scoring plain files have in common, and how plain files are read."""
