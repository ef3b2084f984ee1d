"""Which clips are good enough to learn from (paper section 3.3, supplement B)."""
