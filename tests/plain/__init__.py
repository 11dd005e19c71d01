"""What compiled loops mean, in plain Python."""
