"""Identity metrics: whether the restored face is the same person's, and stays it."""

from __future__ import annotations

from vividface.evaluation.metrics.base import Clip
from vividface.evaluation.metrics.faces import FaceMetric, FaceReferenceMetric, require_frames
from vividface.evaluation.metrics.features import ClipFaces


class IdentitySimilarity(FaceReferenceMetric):
    """IDS: mean over all frames of the cosine of restored and true identity embeddings, in [-1, 1].

    The backbone is dlib's 128-D residual network, whose cosines are higher than ArcFace's: compare within the
    variant only. The paper does not name its own.
    """

    name, better = "ids_dlib", "higher"
    feature = "identity"

    def value(self, clip: Clip, faces: ClipFaces, reference: ClipFaces) -> float:
        """See `FaceReferenceMetric`."""
        cosines = (faces.features["identity"] * reference.features["identity"]).sum(axis=1)
        return float(cosines.mean())


class IdentitySimilarityArcFace(IdentitySimilarity):
    """IDS with ArcFace's IR-SE50 (facexlib): the field's usual backbone, so most likely the paper's."""

    name = "ids_irse50"


class FaceConsistency(FaceMetric):
    """FaceCons: mean cosine of each later frame's identity with the first one's, in [-1, 1]; dlib."""

    name, better = "facecons_dlib", "higher"
    feature = "identity"

    def value(self, clip: Clip, faces: ClipFaces) -> float:
        """See `FaceMetric`."""
        require_frames(clip, 2)
        identity = faces.features["identity"]
        return float((identity[1:] @ identity[0]).mean())


class FaceConsistencyArcFace(FaceConsistency):
    """FaceCons with ArcFace's IR-SE50 (facexlib)."""

    name = "facecons_irse50"
