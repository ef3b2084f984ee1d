"""VividFace: one-step diffusion video face enhancement, as a library and a reproducible workflow.

The names below are loaded when they are first used, so that `import vividface` costs nothing:

enhance_video: enhance a video, frames or an image, as `vividface enhance` does.
OneStepFacePipeline: the one-step restoration as a diffusers pipeline.
evaluate: metrics of a folder of videos, with or without a reference.
load_config: the experiment in config.yaml and its overlays.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vividface.config import load_config
    from vividface.evaluation.evaluate import evaluate
    from vividface.restoration.enhance import enhance_video
    from vividface.restoration.pipeline import OneStepFacePipeline

    __version__: str

# Torch's threads wait for each other by spinning: beside another busy process they take several times longer.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = ["OneStepFacePipeline", "__version__", "enhance_video", "evaluate", "load_config"]

_HOMES = {
    "OneStepFacePipeline": "vividface.restoration.pipeline",
    "enhance_video": "vividface.restoration.enhance",
    "evaluate": "vividface.evaluation.evaluate",
    "load_config": "vividface.config",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("vividface")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        from vividface.extras import explain_missing

        if (message := explain_missing(error)) is None:
            raise
        raise ImportError(message) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
