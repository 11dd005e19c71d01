"""The machinery of source ``crawl``: what to visit, how to fetch it, and what survives a kill."""
