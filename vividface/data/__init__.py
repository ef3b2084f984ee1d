"""From a dataset's source to shards of training clips."""
