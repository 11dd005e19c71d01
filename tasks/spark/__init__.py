"""Steps of `engine: spark`: the functions that other engines call too, over Arrow batches. pyspark only in here."""
