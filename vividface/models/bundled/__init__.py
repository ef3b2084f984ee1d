"""The models that come with the package."""

from __future__ import annotations

from pathlib import Path

# Checkpoint folders by the names of their models.
BUNDLED = {"nano": Path(__file__).parent / "nano"}
