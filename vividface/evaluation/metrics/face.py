"""Face metrics: identity, landmarks and their motion.

A frame in which the detector misses the restored face is looked at where the true face is, or, without a
ground truth, where the frames around it have the face: a failure counts, it is not left out. A clip in which
no frame has a face, restored or true, has no value.
"""

from __future__ import annotations

import numpy as np

from vividface.evaluation.metrics.base import Clip, Metric, NotMeasurableError
from vividface.evaluation.metrics.faces import ClipFaces


class _FaceMetric(Metric):
    needs_faces = True

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        if clip.faces is None or not clip.faces.found.any():
            raise NotMeasurableError("no face is found in the clip")
        if self.needs_reference and (clip.reference_faces is None or not clip.reference_faces.found.any()):
            raise NotMeasurableError("no face is found in the ground truth")
        return float(self._value(clip, clip.faces, clip.reference_faces or clip.faces))

    def _value(self, clip: Clip, faces: ClipFaces, truth: ClipFaces) -> float:
        raise NotImplementedError


class IdentitySimilarity(_FaceMetric):
    """IDS: mean over all frames of the cosine of restored and true identity embeddings, in [-1, 1].

    The backbone is dlib's 128-D residual network, whose cosines are higher than ArcFace's: compare within the
    variant only. The paper does not name its own.
    """

    name, better, needs_reference = "ids_dlib", "higher", True
    feature = "identity"

    def _value(self, clip: Clip, faces: ClipFaces, truth: ClipFaces) -> float:
        return (faces.features["identity"] * truth.features["identity"]).sum(axis=1).mean()


class IdentitySimilarityArcFace(IdentitySimilarity):
    """IDS with ArcFace's IR-SE50 (facexlib): the field's usual backbone, so most likely the paper's."""

    name = "ids_irse50"


class FaceConsistency(_FaceMetric):
    """FaceCons: mean cosine of each later frame's identity with the first one's, in [-1, 1]; dlib."""

    name, better, needs_reference = "facecons_dlib", "higher", False
    feature = "identity"

    def _value(self, clip: Clip, faces: ClipFaces, truth: ClipFaces) -> float:
        _require_frames(clip, 2)
        identity = faces.features["identity"]
        return (identity[1:] @ identity[0]).mean()


class FaceConsistencyArcFace(FaceConsistency):
    """FaceCons with ArcFace's IR-SE50 (facexlib)."""

    name = "facecons_irse50"


class RefinedMeshDistance(_FaceMetric):
    """AKD*: mean distance of FaceMesh's 478 points, in units of the frame's sides, times 1000, from 0.

    468 points of the face, with refined lips and eyes, and five of each iris. The paper's column, most
    likely: it normalises AKD (section 4.1), and its values have this scale.
    """

    name, better, needs_reference = "akd", "lower", True
    feature = "mesh_478"

    def _value(self, clip: Clip, faces: ClipFaces, truth: ClipFaces) -> float:
        return _distance(faces.features["mesh_478"], truth.features["mesh_478"], clip)


class MeshDistance(_FaceMetric):
    """AKD over the 468 points of FaceMesh without refinement, in the units of `akd`, from 0."""

    name, better, needs_reference = "akd_468", "lower", True
    feature = "mesh_468"

    def _value(self, clip: Clip, faces: ClipFaces, truth: ClipFaces) -> float:
        return _distance(faces.features["mesh_468"], truth.features["mesh_468"], clip)


class LandmarkDistance(_FaceMetric):
    """AKD over the 68 iBUG landmarks (dlib), in the units of `akd`, from 0; dlib gives whole pixels.

    Over the frames in which both faces are detected, since the landmarks come from the detection.
    """

    name, better, needs_reference = "akd_68", "lower", True

    def _value(self, clip: Clip, faces: ClipFaces, truth: ClipFaces) -> float:
        if faces.landmarks.shape[1] != 68:
            raise NotMeasurableError("the face backend gives 5 landmarks, not 68; use faces.backend: dlib")
        both = faces.found & truth.found
        if not both.any():
            raise NotMeasurableError("no frame has a face both in the clip and in the ground truth")
        return _distance(faces.landmarks[both], truth.landmarks[both], clip)


class LandmarkMotionError(_FaceMetric):
    """TLME*: mean norm of the difference of restored and true displacement from frame to frame, from 0.

    Of FaceMesh's 478 points, in the units of `akd`. Our definition: no code of the paper's is published.
    """

    name, better, needs_reference = "tlme", "lower", True
    feature = "mesh_478"

    def _value(self, clip: Clip, faces: ClipFaces, truth: ClipFaces) -> float:
        _require_frames(clip, 2)
        restored, true = (np.diff(held.features["mesh_478"], axis=0) for held in (faces, truth))
        return _distance(restored, true, clip)


class LandmarkMotion(_FaceMetric):
    """Mean displacement of FaceMesh's 478 points from frame to frame, in the units of `akd`, from 0.

    Rewards freezing: read it beside the input's. Probably the paper's TLME on videos without ground truth.
    """

    name, better, needs_reference = "landmark_motion", "lower", False
    feature = "mesh_478"

    def _value(self, clip: Clip, faces: ClipFaces, truth: ClipFaces) -> float:
        _require_frames(clip, 2)
        steps = np.diff(faces.features["mesh_478"], axis=0)
        return _distance(steps, np.zeros_like(steps), clip)


def _require_frames(clip: Clip, least: int) -> None:
    if len(clip.frames) < least:
        raise NotMeasurableError(f"the clip has fewer than {least} frames")


def _distance(a: np.ndarray, b: np.ndarray, clip: Clip) -> float:
    height, width = clip.frames.shape[1:3]
    return float(np.linalg.norm((a - b) / (width, height), axis=-1).mean() * 1000)
