"""The compared methods: what they restore a benchmark with."""
