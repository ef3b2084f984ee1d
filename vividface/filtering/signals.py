"""The judge `signals`: the rubric's five criteria measured from pixels and landmarks.

It stands in for the paper's Qwen2.5-VL where no such model can run. Every measure is mapped to points by a
monotone piecewise-linear function whose anchors are below; docs/filtering.md says how they were chosen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import cv2
import numpy as np

from vividface.faces.landmarks import eye_centres, face_parts
from vividface.filtering.rubric import Rubric

JUDGE = "signals"

# Measure -> share of a criterion's points, each a list of (value, share) with increasing values.
ANCHORS: dict[str, list[tuple[float, float]]] = {
    "sharpness": [(0.05, 0.1), (0.15, 0.4), (0.25, 0.7), (0.36, 0.85), (0.50, 1.0)],
    "dispersion": [(0.03, 1.0), (0.10, 0.85), (0.25, 0.5), (0.60, 0.2)],
    "motion": [(0.01, 1.0), (0.04, 0.9), (0.10, 0.6), (0.30, 0.2)],
    "exposure": [(20.0, 0.2), (60.0, 0.8), (90.0, 1.0), (175.0, 1.0), (205.0, 0.8), (240.0, 0.2)],
    "clipped": [(0.005, 1.0), (0.03, 0.85), (0.10, 0.5), (0.30, 0.1)],
    "imbalance": [(0.05, 1.0), (0.20, 0.85), (0.50, 0.5), (1.00, 0.2)],
    "noise": [(1.0, 1.0), (2.5, 0.85), (5.0, 0.5), (10.0, 0.1)],
    "blockiness": [(0.03, 1.0), (0.10, 0.8), (0.30, 0.4), (0.80, 0.1)],
    "visible": [(0.5, 0.2), (0.8, 0.6), (0.95, 0.9), (1.0, 1.0)],
}


@dataclass(frozen=True)
class Signals:
    """What is measured on a clip.

    Attributes:
        sharpness: median over frames of the face's finest octave's energy relative to the next two.
        dispersion: standard deviation of the frames' sharpness, relative to its mean.
        key_sharpness: the eyes' and mouth's lowest sharpness over the frames, relative to its median.
        skin_texture: the cheeks' finest octave relative to that of the eyes and mouth.
        motion: median displacement of the landmarks between frames, relative to the eyes' distance.
        exposure: mean luma of the face, 0..255.
        clipped: share of the face's pixels below 8 or above 247.
        imbalance: absolute log-ratio of the mean luma of the face's left and right halves.
        noise: standard deviation of the noise in flat regions, of 255.
        blockiness: excess of the gradient on the codec's 8 px grid over the mean gradient.
        visible: share of frames with a face, times the share of landmarks inside the frame.
        skin_hue: hue angle of the face's mean colour in CIE Lab, degrees.
    """

    sharpness: float
    dispersion: float
    key_sharpness: float
    skin_texture: float
    motion: float
    exposure: float
    clipped: float
    imbalance: float
    noise: float
    blockiness: float
    visible: float
    skin_hue: float


def score_clip(
    frames: np.ndarray,
    masks: np.ndarray,
    landmarks: np.ndarray,
    found: np.ndarray,
    rubric: Rubric,
    block: float = 8.0,
) -> dict[str, float | str]:
    """Score a clip on the rubric.

    Args:
        frames: (F, H, W, 3) uint8, RGB.
        masks: (F, H, W) bool, the face.
        landmarks: (F, K, 2) in pixels, K = 68 or 5.
        found: (F,) whether each frame's landmarks were detected.
        rubric: the criteria and adjustments.
        block: side of the source's codec blocks in pixels of the crop.

    Returns:
        `judge`, the criteria's points, `base`, `adjustment`, `score`, `tier`, and `reasons`: JSON of the
        adjustments that apply and of all measures.
    """
    signals = measure(frames, masks, landmarks, found, block)
    values = {name: _share(name, getattr(signals, name)) for name in ANCHORS}
    shares = {
        "clarity": values["sharpness"],
        "stability": min(values["dispersion"], values["motion"]),
        "lighting": min(values["exposure"], values["clipped"], values["imbalance"]),
        "artifacts": min(values["noise"], values["blockiness"]),
        "occlusion": values["visible"],
    }
    points = {name: round(share * rubric.criteria[name].points, 1) for name, share in shares.items()}
    applies = {
        "texture": signals.sharpness > 0.45 and signals.noise < 2.5,
        "colour": signals.clipped < 0.005 and 25 < signals.skin_hue < 75,
        "motion_blur": signals.key_sharpness < 0.6,
        "noise": signals.noise > 4.0,
        "smoothing": signals.skin_texture < 0.12,
        "inconsistent": signals.dispersion > 0.25,
    }
    applied = [name for name, yes in applies.items() if yes]
    base, adjustment, score = rubric.total(points, applied)
    reasons = {"adjustments": applied, "measures": {k: round(v, 4) for k, v in vars(signals).items()}}
    return {
        "judge": JUDGE,
        **points,
        "base": round(base, 1),
        "adjustment": adjustment,
        "score": round(score, 1),
        "tier": rubric.tier(score),
        "reasons": json.dumps(reasons, sort_keys=True),
    }


def measure(
    frames: np.ndarray, masks: np.ndarray, landmarks: np.ndarray, found: np.ndarray, block: float = 8.0
) -> Signals:
    """Measure a clip; the arguments are those of `score_clip`."""
    height, width = frames.shape[1:3]
    luma = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames]
    sharpness, key, skin, noise = [], [], [], []
    for image, mask, points in zip(luma, masks, landmarks, strict=True):
        fine, coarse = _bands(image)
        noise.append(_noise(image))
        sharpness.append(_detail(fine[mask], noise[-1]) / (_rms(coarse[mask]) + 1e-3))
        parts = face_parts(points)
        features = min(_rms(_patch(fine, parts[part])) for part in ("eyes", "mouth"))
        key.append(features)
        skin.append(_rms(_patch(fine, parts["cheeks"])) / (features + 1e-3))
    face = np.concatenate([image[mask] for image, mask in zip(luma, masks, strict=True)])
    left, right = eye_centres(landmarks)
    eyes = np.linalg.norm(left - right, axis=1)
    steps = np.linalg.norm(np.diff(landmarks, axis=0), axis=2).mean(axis=1) / eyes.mean()
    inside = ((landmarks >= 0) & (landmarks < (width, height))).all(axis=2).mean()
    return Signals(
        sharpness=float(np.median(sharpness)),
        dispersion=float(np.std(sharpness) / (np.mean(sharpness) + 1e-6)),
        key_sharpness=float(np.min(key) / (np.median(key) + 1e-6)),
        skin_texture=float(np.median(skin)),
        motion=float(np.median(steps)) if len(steps) else 0.0,
        exposure=float(face.mean()),
        clipped=float(((face < 8) | (face > 247)).mean()),
        imbalance=float(np.mean([_imbalance(*pair) for pair in zip(luma, masks, landmarks, strict=True)])),
        noise=float(np.median(noise)),
        blockiness=float(np.median([_blockiness(image, block) for image in luma])),
        visible=float(found.mean() * inside),
        skin_hue=_skin_hue(frames[len(frames) // 2], masks[len(frames) // 2]),
    )


def _share(name: str, value: float) -> float:
    values, shares = zip(*ANCHORS[name], strict=True)
    return float(np.interp(value, values, shares))


def _bands(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The finest octave, and the two below it, as differences of Gaussians."""
    near = cv2.GaussianBlur(image, (0, 0), 1.0)
    return image - near, near - cv2.GaussianBlur(image, (0, 0), 4.0)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _detail(fine: np.ndarray, noise: float) -> float:
    """The finest octave's energy without that of white noise, of whose variance this band passes 0.76."""
    return float(np.sqrt(max(_rms(fine) ** 2 - 0.76 * noise**2, 0.0)))


def _patch(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The bounding box of some landmarks."""
    height, width = image.shape
    x0, y0 = np.clip(np.floor(points.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    x1, y1 = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 1, (width, height))
    return image[y0:y1, x0:x1]


def _imbalance(image: np.ndarray, mask: np.ndarray, points: np.ndarray) -> float:
    """The face is halved at the bridge of the nose."""
    left = np.arange(image.shape[1]) < face_parts(points)["bridge"][0, 0]
    sides = [image[mask & side].mean() if (mask & side).any() else 1.0 for side in (left, ~left)]
    return float(abs(np.log((sides[0] + 1) / (sides[1] + 1))))


def _noise(image: np.ndarray) -> float:
    """Immerkaer's estimator (CVIU 1996) over the flattest half of the image."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(image, -1, kernel)) / 6
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5)
    gradient = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))
    flat = gradient <= np.median(gradient)
    return float(response[flat].mean() * np.sqrt(np.pi / 2))


def _blockiness(image: np.ndarray, block: float) -> float:
    """Over all phases of the grid; a grid finer than 4 px cannot be told from texture and counts as none."""
    if block < 4:
        return 0.0
    excess = []
    for axis in (0, 1):
        profile = np.abs(np.diff(image, axis=axis)).mean(axis=1 - axis)
        lines = np.arange(0, len(profile) - block, block)
        grids = [profile[np.rint(lines + phase).astype(int)].mean() for phase in range(int(block))]
        excess.append(max(grids) / (profile.mean() + 1e-3) - 1)
    # Any natural picture has some excess at its best phase: the lower of the two axes is the grid's.
    return float(max(min(excess) - 0.25, 0.0))


def _skin_hue(frame: np.ndarray, mask: np.ndarray) -> float:
    mean = frame[mask].mean(axis=0) if mask.any() else frame.reshape(-1, 3).mean(axis=0)
    _, a, b = cv2.cvtColor((mean / 255).astype(np.float32).reshape(1, 1, 3), cv2.COLOR_RGB2LAB)[0, 0]
    return float(np.degrees(np.arctan2(b, a)))
