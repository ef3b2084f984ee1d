"""Faces: detection, landmarks, tracking, identity, crops and masks."""
