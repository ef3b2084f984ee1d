"""Networks of the metrics whose own packages cannot be installed beside the others."""
