"""Every metric by its variant's name; docs/metrics.md is their table."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from vividface.errors import InputError, MissingWeightsError
from vividface.evaluation.metrics import identity, image, landmarks, motion, quality, video
from vividface.evaluation.metrics.base import Clip, Metric, NotMeasurableError, SetMetric

__all__ = [
    "METRICS",
    "Clip",
    "Metric",
    "NotMeasurableError",
    "SetMetric",
    "direction",
    "load_metrics",
    "load_set_metrics",
    "require_known",
    "variant",
]

METRICS: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        image.PSNR,
        image.SSIMLuma,
        image.SSIMYCbCr,
        image.SSIMColour,
        image.LPIPSAlex,
        image.LPIPSVGG,
        image.DISTS,
        image.DISTSResized,
        image.NIQE,
        image.MUSIQ,
        image.CLIPIQA,
        identity.IdentitySimilarity,
        identity.IdentitySimilarityArcFace,
        identity.IdentitySimilarityMobileFaceNet,
        identity.FaceConsistency,
        identity.FaceConsistencyArcFace,
        identity.FaceConsistencyMobileFaceNet,
        identity.ClipConsistency,
        identity.IdentityDistance,
        identity.IdentityDistanceArcFace,
        identity.IdentityDistanceMobileFaceNet,
        landmarks.RefinedMeshDistance,
        landmarks.MeshDistance,
        landmarks.LandmarkDistance,
        landmarks.LandmarkMotionError,
        landmarks.LandmarkMotion,
        motion.WarpingError,
        quality.FasterVQA,
        quality.FasterVQAMiddle,
        video.FVDSet,
        video.FVDPair,
    )
}


def variant(name: str, identity_network: str) -> str:
    """The variant that a name in the configuration stands for: `ids` is `ids_dlib` with dlib's network."""
    return f"{name}_{identity_network}" if name in ("ids", "facecons", "vidd") else name


def direction(name: str) -> str:
    """`higher` or `lower`: which is better."""
    return METRICS[name].better if name in METRICS else "higher"


def require_known(names: Iterable[str], *, identity_network: str) -> None:
    """Refuse names of metrics that there are not.

    Args:
        names: names, as in the configuration.
        identity_network: backbone of `ids`, `facecons` and `vidd`.

    Raises:
        InputError: a name is not known.
    """
    for name in (variant(name, identity_network) for name in names):
        if name not in METRICS:
            known = ", ".join(sorted(METRICS))
            raise InputError(f"evaluation.metrics: {name} is not known; known are {known}")


def load_metrics(names: Iterable[str], *, identity_network: str) -> tuple[dict[str, Metric], dict[str, str]]:
    """Build metrics by name.

    Args:
        names: names, as in the configuration.
        identity_network: network of the face backend, the backbone of `ids`, `facecons` and `vidd`.

    Returns:
        those that can be measured, and for the others the reason why not, both by their variant's name.

    Raises:
        InputError: a name is not known.
    """
    names = list(names)
    require_known(names, identity_network=identity_network)
    ready: dict[str, Metric] = {}
    missing: dict[str, str] = {}
    for name in (variant(name, identity_network) for name in names):
        if METRICS[name].identity_network not in (None, identity_network):
            missing[name] = f"the face backend's identity network is {identity_network}; change faces.backend"
        else:
            try:
                ready[name] = METRICS[name]()
            except MissingWeightsError as error:
                missing[name] = str(error)
    return ready, missing


def load_set_metrics() -> list[SetMetric]:
    """Build the metrics of sets whose weights are in the cache."""
    ready = []
    for metric in METRICS.values():
        if issubclass(metric, SetMetric):
            with suppress(MissingWeightsError):
                ready.append(metric())
    return ready
