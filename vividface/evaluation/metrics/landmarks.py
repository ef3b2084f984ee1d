"""Landmark metrics: where the parts of the face are, and how they move."""

from __future__ import annotations

import numpy as np

from vividface.evaluation.metrics.base import Clip, NotMeasurableError
from vividface.evaluation.metrics.faces import FaceMetric, FaceReferenceMetric, require_frames
from vividface.evaluation.metrics.features import ClipFaces
from vividface.faces.landmarks import ibug


class RefinedMeshDistance(FaceReferenceMetric):
    """AKD*: mean distance of FaceMesh's 478 points, in units of the frame's sides, times 1000, from 0.

    468 points of the face, with refined lips and eyes, and five of each iris. The paper's column, most
    likely: it normalises AKD (section 4.1), and its values have this scale.
    """

    name, better = "akd", "lower"
    feature = "mesh_478"

    def value(self, clip: Clip, faces: ClipFaces, reference: ClipFaces) -> float:
        """See `FaceReferenceMetric`."""
        return _distance(faces.features["mesh_478"], reference.features["mesh_478"], clip)


class MeshDistance(FaceReferenceMetric):
    """AKD over the 468 points of FaceMesh without refinement, in the units of `akd`, from 0."""

    name, better = "akd_468", "lower"
    feature = "mesh_468"

    def value(self, clip: Clip, faces: ClipFaces, reference: ClipFaces) -> float:
        """See `FaceReferenceMetric`."""
        return _distance(faces.features["mesh_468"], reference.features["mesh_468"], clip)


class LandmarkDistance(FaceReferenceMetric):
    """AKD over the 68 iBUG landmarks, in the units of `akd`, from 0; dlib gives whole pixels.

    The face backend's own, so compare within a backend: of FaceMesh, the points nearest to iBUG's. Where a
    face is not detected, they are fitted to what is seen in its place.
    """

    name, better = "akd_68", "lower"
    feature = "fitted_landmarks"

    def value(self, clip: Clip, faces: ClipFaces, reference: ClipFaces) -> float:
        """See `FaceReferenceMetric`."""
        if faces.landmarks.shape[1] == 5:
            raise NotMeasurableError(
                "the face backend gives 5 landmarks, not 68; use faces.backend: mediapipe"
            )
        restored_points, true_points = (
            ibug(clip_faces.features["fitted_landmarks"]) for clip_faces in (faces, reference)
        )
        return _distance(restored_points, true_points, clip)


class LandmarkMotionError(FaceReferenceMetric):
    """TLME*: mean norm of the difference of restored and true displacement from frame to frame, from 0.

    Of FaceMesh's 478 points, in the units of `akd`. Our definition: no code of the paper's is published.
    """

    name, better = "tlme", "lower"
    feature = "mesh_478"

    def value(self, clip: Clip, faces: ClipFaces, reference: ClipFaces) -> float:
        """See `FaceReferenceMetric`."""
        require_frames(clip, 2)
        restored_steps, reference_steps = (
            np.diff(clip_faces.features["mesh_478"], axis=0) for clip_faces in (faces, reference)
        )
        return _distance(restored_steps, reference_steps, clip)


class LandmarkMotion(FaceMetric):
    """Mean displacement of FaceMesh's 478 points from frame to frame, in the units of `akd`, from 0.

    Rewards freezing: read it beside the input's. Probably the paper's TLME on videos without ground truth.
    """

    name, better = "landmark_motion", "lower"
    feature = "mesh_478"

    def value(self, clip: Clip, faces: ClipFaces) -> float:
        """See `FaceMetric`."""
        require_frames(clip, 2)
        steps = np.diff(faces.features["mesh_478"], axis=0)
        return _distance(steps, np.zeros_like(steps), clip)


def _distance(a: np.ndarray, b: np.ndarray, clip: Clip) -> float:
    """Mean distance of points (F, K, 2), px, in thousandths of the frame's sides."""
    height, width = clip.frames.shape[1:3]
    return float(np.linalg.norm((a - b) / (width, height), axis=-1).mean() * 1000)
