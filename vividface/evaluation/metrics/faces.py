"""The interface of the face metrics, and which faces they compare.

In each frame the face is that which overlaps the reference's face or, without a reference, the degraded
input's; where the detector finds none there, the place itself is looked at: a failure counts, it is not left
out. So whether a clip has a value depends on the reference, or the input, alone, and is the same for all
methods. With neither, the restored faces are followed, and a clip without one has no value.
"""

from __future__ import annotations

from typing import ClassVar

from vividface.evaluation.metrics.base import Clip, Metric, NotMeasurableError
from vividface.evaluation.metrics.features import ClipFaces


class FaceMetric(Metric):
    """A metric of a clip's own faces."""

    needs_faces: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = False

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        return self.value(clip, require_faces(clip))

    def value(self, clip: Clip, faces: ClipFaces) -> float:
        """The clip's value from its faces."""
        raise NotImplementedError


class FaceReferenceMetric(Metric):
    """A metric that compares a clip's faces with its reference's."""

    needs_faces: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = True

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        if clip.reference_faces is None:
            raise ValueError("the clip has no reference")
        return self.value(clip, require_faces(clip), clip.reference_faces)

    def value(self, clip: Clip, faces: ClipFaces, reference: ClipFaces) -> float:
        """The clip's value from its faces and the reference's."""
        raise NotImplementedError


def require_faces(clip: Clip) -> ClipFaces:
    """The clip's faces.

    Raises:
        NotMeasurableError: nothing tells where they are.
    """
    places = {
        "the ground truth": clip.reference_faces,
        "the degraded input": clip.input_faces,
        "the clip": clip.faces,
    }
    for where, faces in places.items():
        if faces is not None and not faces.located:
            raise NotMeasurableError(f"no face is found in {where}")
    if clip.faces is None:
        raise ValueError("the clip's faces were not read")
    return clip.faces


def require_frames(clip: Clip, min_frames: int) -> None:
    """Refuse a clip that is too short.

    Raises:
        NotMeasurableError: it has fewer frames.
    """
    if len(clip.frames) < min_frames:
        raise NotMeasurableError(f"the clip has fewer than {min_frames} frames")
