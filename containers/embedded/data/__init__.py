"""Demo data that no site serves, one module a corpus: real, made from what is installed, and never committed."""
