"""Face metrics: identity, landmarks and their motion."""

from __future__ import annotations

import numpy as np

from vividface.evaluation.faces import ClipFaces
from vividface.evaluation.metrics.base import Clip, Metric


class _FaceMetric(Metric):
    """NaN for a clip in which no face is found, restored or true."""

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        needed = [clip.faces, *([clip.reference_faces] if self.needs_reference else [])]
        if any(faces is None or not faces.found.any() for faces in needed):
            return float("nan")
        return float(self._value(clip))

    def _value(self, clip: Clip) -> float:
        raise NotImplementedError


class IdentitySimilarity(_FaceMetric):
    """IDS: mean over all frames of the cosine of restored and true identity embeddings, in [-1, 1].

    The backbone is dlib's 128-D residual network, whose cosines are higher than ArcFace's: compare within the
    variant only. The paper does not name its own.
    """

    name, better, needs_reference = "ids_dlib", "higher", True

    def _value(self, clip: Clip) -> float:
        return (clip.faces.identity * _truth(clip).identity).sum(axis=1).mean()


class FaceConsistency(_FaceMetric):
    """FaceCons: mean cosine of each later frame's identity embedding with the first frame's (dlib)."""

    name, better, needs_reference = "facecons_dlib", "higher", False

    def _value(self, clip: Clip) -> float:
        identity = clip.faces.identity
        return (identity[1:] @ identity[0]).mean() if len(identity) > 1 else 1.0


class MeshDistance(_FaceMetric):
    """AKD*: mean distance of FaceMesh's 468 points, in units of the frame's sides, times 1000.

    The paper's scale; its mesh had 478 points, most likely: the variant with irises needs MediaPipe's own
    operators.
    """

    name, better, needs_reference = "akd_468", "lower", True

    def _value(self, clip: Clip) -> float:
        return _distance(clip.faces.mesh, _truth(clip).mesh, clip)


class LandmarkDistance(_FaceMetric):
    """AKD over the 68 iBUG landmarks (dlib), in units of the frame's sides, times 1000."""

    name, better, needs_reference = "akd_68", "lower", True

    def _value(self, clip: Clip) -> float:
        return _distance(clip.faces.landmarks, _truth(clip).landmarks, clip)


class LandmarkMotionError(_FaceMetric):
    """TLME*: mean norm of the difference of restored and true mesh displacement between frames, times 1000.

    In units of the frame's sides; our definition, since no code of the paper's is published.
    """

    name, better, needs_reference = "tlme", "lower", True

    def _value(self, clip: Clip) -> float:
        return _distance(np.diff(clip.faces.mesh, axis=0), np.diff(_truth(clip).mesh, axis=0), clip)


class LandmarkMotion(_FaceMetric):
    """Mean displacement of the mesh between frames, in units of the frame's sides, times 1000.

    Rewards freezing: read it beside the input's.
    """

    name, better, needs_reference = "landmark_motion", "lower", False

    def _value(self, clip: Clip) -> float:
        steps = np.diff(clip.faces.mesh, axis=0)
        return _distance(steps, np.zeros_like(steps), clip)


def _truth(clip: Clip) -> ClipFaces:
    assert clip.reference_faces is not None
    return clip.reference_faces


def _distance(a: np.ndarray, b: np.ndarray, clip: Clip) -> float:
    height, width = clip.frames.shape[1:3]
    return float(np.linalg.norm((a - b) / (width, height), axis=-1).mean() * 1000) if len(a) else 0.0
