"""Identity metrics: whether the restored face is the same person's, and stays it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from vividface.evaluation.metrics.base import Clip, Metric, as_tensor
from vividface.evaluation.metrics.faces import FaceMetric, FaceReferenceMetric, require_frames
from vividface.evaluation.metrics.features import ClipFaces

# Frames whose CLIP features are computed at once.
_BATCH = 16


class IdentitySimilarity(FaceReferenceMetric):
    """IDS: mean over all frames of the cosine of restored and true identity embeddings, in [-1, 1].

    The backbone is dlib's 128-D residual network, whose cosines are higher than ArcFace's: compare within the
    variant only. The paper does not name its own.
    """

    name, better = "ids_dlib", "higher"
    feature: ClassVar[str] = "identity"
    identity_network: ClassVar[str | None] = "dlib"

    def value(self, clip: Clip, faces: ClipFaces, reference: ClipFaces) -> float:
        """See `FaceReferenceMetric`."""
        cosines = (faces.features[self.feature] * reference.features[self.feature]).sum(axis=1)
        return float(cosines.mean())


class IdentitySimilarityArcFace(IdentitySimilarity):
    """IDS with ArcFace's IR-SE50 (facexlib): the field's usual backbone, so most likely the paper's."""

    name, identity_network = "ids_irse50", "irse50"


class IdentitySimilarityMobileFaceNet(IdentitySimilarity):
    """IDS with MobileFaceNet, 128-D, trained with ArcFace's loss; with any face backend."""

    name, feature, identity_network = "ids_mobilefacenet", "identity_mobilefacenet", None


class FaceConsistency(FaceMetric):
    """FaceCons: mean cosine of each later frame's identity with the first one's, in [-1, 1]; dlib."""

    name, better = "facecons_dlib", "higher"
    feature: ClassVar[str] = "identity"
    identity_network: ClassVar[str | None] = "dlib"

    def value(self, clip: Clip, faces: ClipFaces) -> float:
        """See `FaceMetric`."""
        require_frames(clip, 2)
        identity = faces.features[self.feature]
        return float((identity[1:] @ identity[0]).mean())


class FaceConsistencyArcFace(FaceConsistency):
    """FaceCons with ArcFace's IR-SE50 (facexlib)."""

    name, identity_network = "facecons_irse50", "irse50"


class FaceConsistencyMobileFaceNet(FaceConsistency):
    """FaceCons with MobileFaceNet, 128-D, trained with ArcFace's loss; with any face backend."""

    name, feature, identity_network = "facecons_mobilefacenet", "identity_mobilefacenet", None


class ClipConsistency(Metric):
    """EvalCrafter's FaceCons (Liu et al., CVPR 2024): mean cosine of each later frame with the first, -1..1.

    Of features of whole frames by CLIP's ViT-B/32, prepared as CLIP's images are: 224 px, normalised, where
    EvalCrafter's code gives the network levels of 0..255. It looks at the picture, hardly at the face.
    """

    name, better, needs_reference = "facecons_clip", "higher", False

    def __init__(self) -> None:
        from vividface.models.clip import ClipImageEncoder

        self._encoder = ClipImageEncoder()

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        import torch

        require_frames(clip, 2)
        encoder = self._encoder.to(clip.device)
        starts = range(0, len(clip.frames), _BATCH)
        batches = (as_tensor(clip.frames[start : start + _BATCH], clip.device) for start in starts)
        with torch.inference_mode():
            features = torch.cat([encoder(batch) for batch in batches])
            return float((features[1:] @ features[0]).mean())


class IdentityDistance(FaceMetric):
    """VIDD: mean distance of neighbouring frames' identity embeddings, in [0, 2]; dlib.

    Of embeddings of unit length. Rewards freezing: read it beside the ground truth's.
    """

    name, better = "vidd_dlib", "lower"
    feature: ClassVar[str] = "identity"
    identity_network: ClassVar[str | None] = "dlib"

    def value(self, clip: Clip, faces: ClipFaces) -> float:
        """See `FaceMetric`."""
        require_frames(clip, 2)
        steps = np.diff(faces.features[self.feature], axis=0)
        return float(np.linalg.norm(steps, axis=1).mean())


class IdentityDistanceArcFace(IdentityDistance):
    """VIDD with ArcFace's IR-SE50 (facexlib); the field's is another ArcFace, a ResNet18."""

    name, identity_network = "vidd_irse50", "irse50"


class IdentityDistanceMobileFaceNet(IdentityDistance):
    """VIDD with MobileFaceNet, 128-D, trained with ArcFace's loss; with any face backend."""

    name, feature, identity_network = "vidd_mobilefacenet", "identity_mobilefacenet", None
