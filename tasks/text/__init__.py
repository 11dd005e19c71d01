"""From bytes to tidy text: one idea a file, plain functions on one document, no I/O."""
