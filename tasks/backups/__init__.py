"""Copies of champions in a second store: what belongs to one, where it lies, how it comes back."""
