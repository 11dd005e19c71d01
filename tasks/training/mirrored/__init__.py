"""Training one network on several workers in step: data order, batches, loop, checkpoints, export.

``worker`` is the main of the process that imports TensorFlow; ``tasks.gang`` starts and watches it.
"""
