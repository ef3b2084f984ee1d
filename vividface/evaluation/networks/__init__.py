"""Networks of the metrics."""
