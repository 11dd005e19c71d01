"""What must hold between two steps: one Great Expectations suite a stage, one file a suite."""
