"""Diffusers without its optional packages, where a process runs nothing but VividFace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Diffusers and accelerate import these where they are installed, which is half of the time of starting. Only
# training and the judge use some of them, and import diffusers whole.
_OPTIONAL = ("bitsandbytes", "peft", "scipy", "tensorboard", "torchvision", "transformers")
_claimed = False


def claim_process() -> None:
    """Declare that this process runs nothing but VividFace, so that `lean_diffusers` may be lean."""
    global _claimed
    _claimed = True


@contextmanager
def lean_diffusers() -> Iterator[None]:
    """Import diffusers, within this context, as if packages that it can do without were not installed.

    Diffusers remembers what it has not found (adapters, quantised weights), and other code in the process
    would miss it: without `claim_process` nothing is hidden. Behind the context the packages can be imported.
    """
    hidden = [name for name in _OPTIONAL if _claimed and name not in sys.modules]
    for name in hidden:
        # Python's documented way to have the import of a module fail.
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
