"""The interface of a metric, and what it sees of a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from vividface.evaluation.metrics.features import ClipFaces

# Tables need what a metric is alone; torch, which takes a second to import, is for what computes.
if TYPE_CHECKING:
    from torch import Tensor


class NotMeasurableError(Exception):
    """A metric has no value for a clip; the message says why, as tables print it."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip under measurement.

    Attributes:
        frames: restored frames (F, H, W, 3) uint8, RGB.
        reference: true frames of the same shape, or None.
        faces: faces of the restored frames; None where no face metric is asked for.
        reference_faces: faces of the true frames; None without a reference.
        input_faces: faces of the degraded frames, whose places stand in where there is no reference, or None.
        reference_features: features of the true frames by metric of sets, as far as they are known.
        device: device of the networks.
    """

    frames: np.ndarray
    reference: np.ndarray | None
    faces: ClipFaces | None = None
    reference_faces: ClipFaces | None = None
    input_faces: ClipFaces | None = None
    reference_features: Mapping[str, np.ndarray] = field(default_factory=dict)
    device: str = "cpu"


class Metric:
    """A measure of one clip.

    Attributes:
        name: name of the variant, as tables print it.
        better: direction of better values.
        needs_reference: whether it compares with a reference.
        needs_faces: whether it looks at faces.
        feature: feature that it needs of the faces beside their landmarks, of `features.FEATURES`.
        identity_network: identity network that the face backend has to have; None where any backend does.

    Raises:
        MissingWeightsError: its weights are not in the cache.
    """

    name: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]
    needs_reference: ClassVar[bool]
    needs_faces: ClassVar[bool] = False
    feature: ClassVar[str | None] = None
    identity_network: ClassVar[str | None] = None

    def measure(self, clip: Clip) -> float:
        """The clip's value, a mean over its frames.

        Raises:
            NotMeasurableError: it has none.
        """
        raise NotImplementedError

    def measure_all(self, clips: Sequence[Clip]) -> list[float | NotMeasurableError]:
        """The values of several methods' results of one clip, or why one has none.

        The clips have one array as their reference, so that a metric may share what it computes of it.
        """
        values: list[float | NotMeasurableError] = []
        for clip in clips:
            try:
                values.append(self.measure(clip))
            except NotMeasurableError as error:
                values.append(error)
        return values


class SetMetric(Metric):
    """A measure of a set of clips against the set of their references: one clip alone has no value.

    The features of a clip are found once; sets, and resamplings of their videos, are made of their rows.

    Attributes:
        unit: what a row of the features stands for, in the plural.
    """

    unit: ClassVar[str]

    def measure(self, clip: Clip) -> float:
        """Raises `NotMeasurableError`: see `features` and `distance`."""
        raise NotMeasurableError(f"{self.name} is a measure of a set of clips, not of one")

    def features(self, frames: np.ndarray, device: str = "cpu") -> np.ndarray:
        """The features of one clip, restored or true.

        Args:
            frames: frames (F, H, W, 3) uint8, RGB.
            device: device of the networks.

        Returns:
            features (K, D) float32, one row per window of the clip; K follows from F alone.

        Raises:
            NotMeasurableError: the clip has none.
        """
        raise NotImplementedError

    @classmethod
    def distance(cls, features: np.ndarray, reference_features: np.ndarray) -> float:
        """The value of a set of clips.

        Args:
            features: features (N, D) of all restored clips, one below the other.
            reference_features: features (M, D) of all true clips.

        Raises:
            NotMeasurableError: the sets are too small.
        """
        raise NotImplementedError


def as_tensor(frames: np.ndarray, device: str = "cpu") -> Tensor:
    """Frames (F, H, W, 3) uint8 as a tensor (F, 3, H, W) in [0, 1]."""
    import torch

    return torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 255
