"""Ours and datatrove on the same pages: what `bench_clean` is made of."""
