"""How what a model says is measured, one way a file: classes, entities, perplexity."""
