"""From raw documents to clean ones: what `nightshift clean` and `nightshift dedup` are made of.

One way through it, whoever drives: ``reading`` yields raw documents, ``batches`` packs them into Arrow
record batches, ``refine`` turns one batch into outcomes (a pure function of batch and configuration),
``crew`` runs that in child processes that may die, ``output`` writes what came of it.
"""
