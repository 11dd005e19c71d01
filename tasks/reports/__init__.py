"""The report of a candidate: plots, and one HTML file that needs nothing else."""
