"""Restoring videos with a trained model."""
