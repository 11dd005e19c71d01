"""A search for parameters: what to try next, when to end a trial, and what came of all."""
