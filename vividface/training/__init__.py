"""The two training stages (paper section 3.2)."""
