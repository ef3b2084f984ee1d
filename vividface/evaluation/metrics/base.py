"""What a metric is, and what it sees of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from vividface.evaluation.faces import ClipFaces


@dataclass(frozen=True)
class Clip:
    """A clip under measurement.

    Attributes:
        frames: the restored frames (F, H, W, 3) uint8, RGB.
        reference: the true frames, or None.
        faces: the faces of the restored frames.
        reference_faces: those of the true frames, or None.
        device: where networks run.
    """

    frames: np.ndarray
    reference: np.ndarray | None
    faces: ClipFaces
    reference_faces: ClipFaces | None
    device: str = "cpu"

    @cached_property
    def tensor(self) -> Tensor:
        """The restored frames (F, 3, H, W) in [0, 1]."""
        return _to_tensor(self.frames, self.device)

    @cached_property
    def reference_tensor(self) -> Tensor:
        """The true frames, likewise."""
        assert self.reference is not None
        return _to_tensor(self.reference, self.device)


class Metric:
    """A measure of one clip.

    Attributes:
        name: the variant's name, as tables print it.
        better: the direction.
        needs_reference: whether it compares with the ground truth.
    """

    name: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]
    needs_reference: ClassVar[bool]

    def measure(self, clip: Clip) -> float:
        """The clip's value, a mean over its frames; NaN if no frame has what it needs."""
        raise NotImplementedError


def _to_tensor(frames: np.ndarray, device: str) -> Tensor:
    return torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 255
