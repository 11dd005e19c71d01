"""How all published partitions become one snapshot: what stays, in which split, in which order."""
