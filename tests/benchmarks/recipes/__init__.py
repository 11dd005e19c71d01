"""What ``bench_recipes`` holds the recipes against."""
