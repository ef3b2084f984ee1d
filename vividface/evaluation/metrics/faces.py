"""The interface of the face metrics, and which faces they compare.

A frame in which the detector misses the restored face is looked at where the reference's face is or, without
a reference, where the frames around it have the face: a failure counts, it is not left out. A clip in which
no frame has a face, restored or true, has no value.
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
        faces, reference = require_faces(clip), clip.reference_faces
        if reference is None or not reference.found.any():
            raise NotMeasurableError("no face is found in the ground truth")
        return self.value(clip, faces, reference)

    def value(self, clip: Clip, faces: ClipFaces, reference: ClipFaces) -> float:
        """The clip's value from its faces and the reference's."""
        raise NotImplementedError


def require_faces(clip: Clip) -> ClipFaces:
    """The clip's faces.

    Raises:
        NotMeasurableError: none is found.
    """
    if clip.faces is None or not clip.faces.found.any():
        raise NotMeasurableError("no face is found in the clip")
    return clip.faces


def require_frames(clip: Clip, min_frames: int) -> None:
    """Refuse a clip that is too short.

    Raises:
        NotMeasurableError: it has fewer frames.
    """
    if len(clip.frames) < min_frames:
        raise NotMeasurableError(f"the clip has fewer than {min_frames} frames")
