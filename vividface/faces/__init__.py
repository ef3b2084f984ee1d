"""Faces: detection, landmarks, identity, crop windows and masks."""
