"""Starting fast where a process runs nothing but VividFace: diffusers without its optional packages."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Diffusers and accelerate import these where they are installed, which is half of the time of starting. Only
# training and the judge use some of them, and import diffusers whole.
_OPTIONAL = ("bitsandbytes", "peft", "scipy", "tensorboard", "torchvision", "transformers")
# Objects made, less those dropped, between two of Python's searches for cycles (else 700): those during
# imports find nothing, and take a tenth of the time of starting.
_BETWEEN_SEARCHES = 10_000
_claimed = False


def claim_process() -> None:
    """Declare that this process runs nothing but VividFace: `lean_diffusers` may be lean, cycles may wait."""
    global _claimed
    _claimed = True
    gc.set_threshold(_BETWEEN_SEARCHES, *gc.get_threshold()[1:])


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
