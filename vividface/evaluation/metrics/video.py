"""Frechet video distance: whether restored videos look and move as the true ones do.

Unterthiner et al., "Towards Accurate Generative Models of Video" (2018), with the conventions of StyleGAN-V
(Skorokhodov et al., CVPR 2022): I3D's 400 logits, before the softmax, of 16 frames, RGB in [-1, 1]. Their
shorter side is resized to 224 px (bilinear, without antialiasing), and the centre is taken.
"""

from __future__ import annotations

import numpy as np

from vividface.evaluation.metrics.base import Clip, Metric, NotMeasurableError, SetMetric

WINDOW = 16


class FVDSet(SetMetric):
    """FVD between the windows of all restored and of all true clips, from 0. The paper's column, most likely.

    The distance of two Gaussians, ||m1 - m2||^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), with the means and the
    unbiased covariances of I3D's logits. A long clip has more windows, and so counts more, than a short one.
    Few windows raise the value (StyleGAN-V takes 2048): compare it over the same clips only.
    """

    name, better, needs_reference = "fvd_set", "lower", True
    unit = f"windows of {WINDOW} frames"

    def __init__(self) -> None:
        self._windows = _WindowFeatures()

    def features(self, frames: np.ndarray, device: str = "cpu") -> np.ndarray:
        """I3D's logits of a clip's windows.

        Every frame counts: ceil(F / 16) windows of 16 frames, evenly spaced from the first frame to the last,
        overlap where F is not a multiple of 16.

        Args:
            frames: frames (F, H, W, 3) uint8, RGB.
            device: device of the network.

        Returns:
            features (K, 400) float32, one row per window.

        Raises:
            NotMeasurableError: the clip has fewer than 16 frames.
        """
        return self._windows(frames, device)

    @classmethod
    def distance(cls, features: np.ndarray, reference_features: np.ndarray) -> float:
        """See `SetMetric`; a covariance takes two windows of each set."""
        for kind, rows in (("restored", features), ("true", reference_features)):
            if len(rows) < 2:
                raise NotMeasurableError(f"{cls.name} needs two windows of {WINDOW} {kind} frames")
        return frechet_distance(features, reference_features)


class FVDPair(Metric):
    """FVD as several face papers print it: of one restored and one true clip at a time, from 0.

    The squared distance ||m1 - m2||^2 of the mean logits of the two clips' windows, which are those of
    `fvd_set`. With one clip on each side there is no covariance: this is no distance of distributions, and
    lies on another scale than `fvd_set`. BFVR-STC's script, which such papers use, gives I3D 24 frames at
    once in the order BGR, for which the network was not trained; here they are RGB, and every frame counts.
    """

    name, better, needs_reference = "fvd_pair", "lower", True

    def __init__(self) -> None:
        self._windows = _WindowFeatures()

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        if clip.reference is None:
            raise ValueError("the clip has no reference")
        means = [
            self._windows(frames, clip.device).mean(axis=0, dtype=float)
            for frames in (clip.frames, clip.reference)
        ]
        return float(np.square(means[0] - means[1]).sum())


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The Frechet distance of the Gaussians through two sets of features, in float64, from 0.

    tr (S1 S2)^(1/2) is the sum of the singular values of X1 X2^T / sqrt((N - 1) (M - 1)), where X1 and X2 are
    the centred features. That is exact, and as sound for sets smaller than D, whose covariances are singular:
    the square root of such a matrix, which others compute, is not.

    Args:
        a: features (N, D), N >= 2.
        b: features (M, D), M >= 2.
    """
    means, roots, traces = [], [], []
    for features in (np.asarray(a, float), np.asarray(b, float)):
        mean = features.mean(axis=0)
        root = (features - mean) / np.sqrt(len(features) - 1)
        means.append(mean)
        traces.append(np.square(root).sum())
        # The triangular factor has the same covariance, in at most D rows.
        roots.append(np.asarray(np.linalg.qr(root, mode="r")) if len(root) > root.shape[1] else root)
    overlap = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    distance = np.square(means[0] - means[1]).sum() + sum(traces) - 2 * overlap
    # Of equal sets, rounding leaves a little on either side of 0.
    return max(float(distance), 0.0)


def window_starts(num_frames: int) -> np.ndarray:
    """The first frames of a clip's windows: as few as cover every frame, evenly spaced.

    Raises:
        NotMeasurableError: the clip is shorter than a window.
    """
    if num_frames < WINDOW:
        raise NotMeasurableError(f"the clip has fewer than {WINDOW} frames")
    return np.linspace(0, num_frames - WINDOW, -(-num_frames // WINDOW)).round().astype(int)


class _WindowFeatures:
    """I3D's logits (K, 400) of a clip's windows."""

    def __init__(self) -> None:
        from vividface.evaluation.networks.i3d import load_i3d

        self._network = load_i3d()

    def __call__(self, frames: np.ndarray, device: str) -> np.ndarray:
        import torch

        from vividface.evaluation.networks.i3d import prepare_window

        network, rows = self._network.to(device), []
        with torch.inference_mode():
            for start in window_starts(len(frames)):
                window = torch.from_numpy(frames[start : start + WINDOW]).to(device)
                rows.append(network(prepare_window(window)[None])[0].cpu().numpy())
        return np.stack(rows)
