"""A gang: the workers of one mirrored training, who meet, train in step, and end together."""
