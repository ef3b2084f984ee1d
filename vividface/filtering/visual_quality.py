"""The measures of the judge `measured`: visual quality from the pixels of a face and its landmarks.

Measures are relative to the clip itself where they can be, so that darkening, say, changes the exposure and
nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import cv2
import numpy as np

from vividface.faces.landmarks import eye_centres, face_parts

# Gain of white noise's variance in the finest band's differences along a row, a column and the diagonals.
_STEPS = {(0, 1): 1.78, (1, 0): 1.78, (1, 1): 1.66, (1, -1): 1.66}
# Variance that rounding to whole levels adds.
_ROUNDING = 1 / 12
# Noise is subtracted with a margin, and at least so much of it: noise that the estimate misses must not count
# as detail, nor must a codec gain by removing it.
_NOISE_MARGIN, _LEAST_NOISE = 1.35, 0.25
# Gaussians at which edges are compared and located: shares of the eyes' distance, and the least in pixels.
_FINE_EDGE, _COARSE_EDGE = (1 / 45, 1.2), (1 / 30, 1.8)
# Blur of an edge by sampling alone, and the difference between frames that it makes, in pixels.
_APERTURE, _JITTER = 0.95, 0.35
# Share of the face's pixels that are no edge; least number of pixels of edges.
_NO_EDGE, _FEWEST = 0.70, 12
# Blur of a face without an edge, in eyes' distances.
_MOST_BLUR = 1.0
# Distances in CIE Lab from the skin's colour beyond which a pixel of the face is something else.
_FOREIGN_CHROMA, _FOREIGN_LIGHTNESS = 16.0, 40.0
# Widest speck of another colour that covers nothing, in eyes' distances.
_SPECK = 0.1
# Level that the skin is brought to first, of 1.
_SKIN_LEVEL = 0.55
# A codec's grid that is finer than this cannot be told from texture.
_FINEST_GRID = 4
# Width and height of the patches that eyes and mouth are brought to, in eyes' distances.
_PATCH = {"eyes": (1.9, 0.7), "mouth": (1.2, 0.8)}


@dataclass(frozen=True, kw_only=True)
class VisualQuality:
    """The measures of a clip.

    Attributes:
        blur: width of the face's edges over all frames, as the standard deviation of the Gaussian that would
            make them of steps, in eyes' distances.
        source_scale: side of the crop in the source video, relative to its own: below 1 it was enlarged.
        dispersion: the blur that would make the sharper frames as blurry as the others, in eyes' distances:
            root of the interquartile range of the squared blur.
        regional: finest detail of the eyes and the mouth where they are blurriest, relative to where they are
            sharpest: 10th over 90th percentile of the frames, the lower of the two regions.
        shake: median acceleration of the face's centre between frames, relative to the eyes' distance.
        highlight: 95th percentile of the face's luma, 0..255.
        crushed: share of the face's pixels below 8.
        burnt: share of the face's pixels on a plateau at its brightest, as clipping leaves it.
        imbalance: absolute log-ratio of the mean luma of the face's left and right halves.
        noise: standard deviation of the noise in flat regions, of 255, at the face's own brightness.
        blockiness: excess of the gradient on the codec's grid over the mean gradient.
        skin_texture: finest detail of the cheeks relative to that of the eyes and mouth.
        visible: share of frames with a face, times the share of landmarks inside the frame.
        covered: share of the face where larger regions have another colour than the skin, or are parsed as
            something else.
        skin_hue: hue angle of the face's mean colour in CIE Lab, degrees.
    """

    blur: float
    source_scale: float
    dispersion: float
    regional: float
    shake: float
    highlight: float
    crushed: float
    burnt: float
    imbalance: float
    noise: float
    blockiness: float
    skin_texture: float
    visible: float
    covered: float
    skin_hue: float


@dataclass(frozen=True, kw_only=True)
class _FrameMeasures:
    """The measures that are taken frame by frame; see `VisualQuality`.

    Attributes:
        slopes: sums of the slopes of the face's edges, at the fine and at the coarse scale.
        eyes: all of the eyes' finest octave.
        mouth: all of the mouth's finest octave.
        skin_texture: finest detail of the cheeks relative to that of the eyes and mouth.
        burnt: share of the face's pixels on a plateau at its brightest.
        imbalance: absolute log-ratio of the mean luma of the face's halves.
        noise: standard deviation of the noise, of 255.
        covered: share of the face that something covers.
    """

    slopes: tuple[float, float]
    eyes: float
    mouth: float
    skin_texture: float
    burnt: float
    imbalance: float
    noise: float
    covered: float


def assess(
    frames: np.ndarray,
    masks: np.ndarray,
    *,
    landmarks: np.ndarray,
    found: np.ndarray,
    block: float = 8.0,
) -> VisualQuality:
    """Measure the visual quality of a clip.

    Args:
        frames: (F, H, W, 3) uint8, RGB.
        masks: (F, H, W) bool, the face.
        landmarks: (F, K, 2) in pixels, K = 68, 5 or 478.
        found: (F,) whether the landmarks of each frame were detected and not interpolated.
        block: side of the source video's codec blocks, pixels of the crop.
    """
    lumas = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames]
    masks = np.stack([mask if mask.any() else np.ones_like(mask) for mask in masks])
    eyes = float(np.median(_eyes_distance(landmarks)))
    rows = [_measure_frame(*row, eyes=eyes) for row in zip(frames, lumas, masks, landmarks, strict=True)]
    column = {
        field.name: np.array([getattr(row, field.name) for row in rows]) for field in fields(_FrameMeasures)
    }
    slopes = column.pop("slopes")
    blurs = np.array([_blur(pair, eyes) for pair in slopes])
    median = {name: float(np.median(values)) for name, values in column.items()}
    low, high = np.percentile(blurs**2, [25, 75])
    face = np.concatenate([luma[mask] for luma, mask in zip(lumas, masks, strict=True)])
    height, width = frames.shape[1:3]
    inside = ((landmarks >= 0) & (landmarks < (width, height))).all(axis=2).mean()
    middle = len(frames) // 2
    return VisualQuality(
        blur=_blur(slopes.sum(axis=0), eyes),
        source_scale=8 / block,
        dispersion=float(np.sqrt(max(high - low - (_JITTER / eyes) ** 2, 0.0))),
        regional=min(_spread(column[part]) for part in _PATCH),
        shake=_shake(landmarks),
        highlight=float(np.percentile(face, 95)),
        crushed=float((face < 8).mean()),
        burnt=median["burnt"],
        imbalance=median["imbalance"],
        noise=median["noise"],
        blockiness=float(np.median([_blockiness(luma, block) for luma in lumas])),
        skin_texture=median["skin_texture"],
        visible=float(found.mean() * inside),
        covered=float(column["covered"].mean()),
        skin_hue=_skin_hue(frames[middle], masks[middle]),
    )


def _measure_frame(
    frame: np.ndarray, luma: np.ndarray, mask: np.ndarray, points: np.ndarray, *, eyes: float
) -> _FrameMeasures:
    # The lower of two estimates: a busy background is no noise, nor is a face's texture.
    noise = min(_noise(luma, np.ones_like(mask)), _noise(luma, mask))
    skin, foreign = _skin(frame, mask, points)
    # Specks, such as a beard's, cover nothing. The edge of a real cover is no detail of the face.
    cover = cv2.morphologyEx(foreign.astype(np.uint8), cv2.MORPH_OPEN, _square(eyes * _SPECK / 2))
    face = mask & (cv2.dilate(cover, _square(2 * _scales(eyes)[1])) == 0)
    face = face if face.any() else mask
    patches = {part: stabilised(luma, points, part) for part in _PATCH}
    detail = {part: _detail(patch, noise) for part, patch in patches.items()}
    brightest = float(np.percentile(luma[mask], 99.9))
    cheeks = _patch(luma, face_parts(points)["cheeks"])
    return _FrameMeasures(
        slopes=_slopes(luma, face, eyes),
        eyes=_fine(patches["eyes"]),
        mouth=_fine(patches["mouth"]),
        skin_texture=_detail(cheeks, noise) / (min(detail.values()) + 1e-3),
        burnt=float((luma[mask] >= 0.985 * brightest).mean()),
        imbalance=_imbalance(luma, mask, points),
        # A dark picture's noise is as visible once it is brightened.
        noise=noise * 128 / max(float(luma[mask].mean()), 32.0),
        covered=float(cover.sum() / max(skin.sum(), 1)),
    )


def stabilised(image: np.ndarray, points: np.ndarray, part: str) -> np.ndarray:
    """The eyes or the mouth, turned upright and centred by the landmarks; pixels keep their size.

    Args:
        image: (H, W).
        points: (K, 2), landmarks in pixels.
        part: `eyes` or `mouth`.

    Returns:
        (h, w) of a size that follows from the distance of the eyes.
    """
    left, right = eye_centres(points)
    across, distance = right - left, float(_eyes_distance(points))
    width, height = (max(int(side * distance), 8) for side in _PATCH[part])
    corners = face_parts(points)[part]
    centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
    cos, sin = across / distance
    turn = np.array([[cos, sin], [-sin, cos]])
    shift = np.array([width / 2, height / 2]) - turn @ centre
    matrix = np.hstack([turn, shift[:, None]])
    warped = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _detail(image: np.ndarray, noise: float) -> float:
    """Differences of the finest octave along the direction with least, less those of noise and rounding."""
    fine = image - cv2.GaussianBlur(image, (0, 0), 1.0)
    noise = max(noise, _LEAST_NOISE)
    energies = []
    for step, gain in _STEPS.items():
        values = (fine - np.roll(fine, step, (0, 1)))[1:-1, 1:-1]
        # The mean, not the square: texture is everywhere, edges of blocks and of covers are not.
        energy = np.pi / 2 * float(np.abs(values).mean()) ** 2 if values.size else 0.0
        energies.append(energy - gain * _NOISE_MARGIN * (noise**2 + _ROUNDING))
    return float(np.sqrt(max(min(energies), 0.0)))


def _fine(patch: np.ndarray) -> float:
    """All of the finest octave: noise may stay, since the same region of other frames has it too."""
    return _rms(patch - cv2.GaussianBlur(patch, (0, 0), 1.0))


def _square(half: float) -> np.ndarray:
    side = 2 * math.ceil(half) + 1
    return np.ones((side, side), np.uint8)


def _eyes_distance(points: np.ndarray) -> np.ndarray:
    """The distance of the eyes in pixels, from the landmarks (..., K, 2) of one frame or of several."""
    left, right = eye_centres(points)
    return np.asarray(np.maximum(np.linalg.norm(right - left, axis=-1), 8.0))


def _scales(eyes: float) -> tuple[float, float]:
    """Standard deviations in pixels at which edges are compared."""
    fine, coarse = (max(share * eyes, least) for share, least in (_FINE_EDGE, _COARSE_EDGE))
    return fine, coarse


def _slopes(image: np.ndarray, mask: np.ndarray, eyes: float) -> tuple[float, float]:
    """Sums of the slopes of the region's edges, at the fine and at the coarse scale.

    Edges are the ridges of the coarse gradient, and both slopes are taken across them: noise, which has no
    direction, cancels out in the sum, and the residue of a codec is too fine to make ridges.
    """
    fine, coarse = _scales(eyes)
    (fine_x, fine_y), (x, y) = _gradient(image, fine), _gradient(image, coarse)
    steepness = np.hypot(x, y) + 1e-6
    rows, columns = np.nonzero(mask & (steepness >= np.quantile(steepness[mask], _NO_EDGE)))
    across_x, across_y = ((part / steepness)[rows, columns] for part in (x, y))
    here = steepness[rows, columns]
    ridge = np.ones(here.shape, bool)
    for side in (-1, 1):
        x_there = (columns + side * across_x).astype(np.float32)[None]
        y_there = (rows + side * across_y).astype(np.float32)[None]
        ridge &= here >= cv2.remap(steepness, x_there, y_there, cv2.INTER_LINEAR)[0]
    if ridge.sum() < _FEWEST:
        return 0.0, 0.0
    across = fine_x[rows, columns] * across_x + fine_y[rows, columns] * across_y
    return float(across[ridge].sum()), float(here[ridge].sum())


def _gradient(image: np.ndarray, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    smooth = cv2.GaussianBlur(image, (0, 0), deviation)
    return cv2.Sobel(smooth, -1, 1, 0) / 8, cv2.Sobel(smooth, -1, 0, 1) / 8


def _blur(slopes: np.ndarray, eyes: float) -> float:
    """The width of edges with such slopes at the fine and the coarse scale, in eyes' distances.

    A Gaussian edge of deviation b has a slope of 1 / sqrt(b^2 + s^2) once it is smoothed by s, so the ratio
    of two slopes gives b (re-blurring: Zhuo and Sim, Pattern Recognition 2011).
    """
    fine, coarse = _scales(eyes)
    if slopes[0] <= slopes[1]:
        return _MOST_BLUR
    squared = float(slopes[0] / slopes[1]) ** 2
    variance = (coarse**2 - squared * fine**2) / (squared - 1)
    return min(math.sqrt(max(variance - _APERTURE**2, 0.0)) / eyes, _MOST_BLUR)


def _spread(values: np.ndarray) -> float:
    low, high = np.percentile(values, [10, 90])
    return float(low / (high + 1e-6))


def _shake(landmarks: np.ndarray) -> float:
    eyes = float(_eyes_distance(landmarks).mean())
    if len(landmarks) < 3:
        return 0.0
    acceleration = np.diff(landmarks.mean(axis=1), n=2, axis=0)
    return float(np.median(np.linalg.norm(acceleration, axis=1)) / eyes)


def _patch(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The bounding box of some landmarks."""
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(points.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    x1, y1 = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 1, (width, height))
    return image[y0:y1, x0:x1]


def _imbalance(image: np.ndarray, mask: np.ndarray, points: np.ndarray) -> float:
    """The face is halved at the bridge of the nose."""
    left = np.arange(image.shape[1]) < face_parts(points)["bridge"][0, 0]
    sides = [image[mask & side].mean() if (mask & side).any() else 1.0 for side in (left, ~left)]
    return float(abs(np.log(max(sides[0], 0.5) / max(sides[1], 0.5))))


def _noise(image: np.ndarray, mask: np.ndarray) -> float:
    """Immerkaer's estimator (CVIU 1996) over the flattest half of a region."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(image, -1, kernel)) / 6
    gradient = np.hypot(*_gradient(image, 1.5))
    flat = mask & (gradient <= np.median(gradient[mask]))
    return float(response[flat].mean() * np.sqrt(np.pi / 2))


def _blockiness(image: np.ndarray, block: float) -> float:
    """The most over all phases of the grid; a grid that is too fine counts as none."""
    if block < _FINEST_GRID:
        return 0.0
    excess = []
    for axis in (0, 1):
        profile = np.abs(np.diff(image, axis=axis)).mean(axis=1 - axis)
        lines = np.arange(0, len(profile) - block, block)
        grids = [profile[np.rint(lines + phase).astype(int)].mean() for phase in range(int(block))]
        excess.append(max(grids) / (profile.mean() + 1e-3) - 1)
    # A natural picture has some excess at its best phase: the lower of the two axes is the grid's.
    return float(max(min(excess) - 0.25, 0.0))


def _skin(frame: np.ndarray, mask: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where skin is expected, among the landmarks beside eyes and mouth, and where something else is."""
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points.round().astype(np.int32)), 1)
    skin, parts = hull.astype(bool), face_parts(points)
    for part in ("eyes", "mouth"):
        _patch(skin, parts[part])[:] = False
    if not skin.any():
        return skin, skin
    smooth = cv2.GaussianBlur(frame.astype(np.float32) / 255, (0, 0), 1.0)
    # Brought to a common level, so that a dark clip's colours are as far apart as a bright one's.
    level = float(np.median(smooth[skin].mean(axis=1)))
    lab = cv2.cvtColor(np.minimum(smooth * _SKIN_LEVEL / max(level, 0.02), 1.0), cv2.COLOR_RGB2LAB)
    away = np.abs(lab - np.median(lab[skin], axis=0))
    other = (np.hypot(away[..., 1], away[..., 2]) > _FOREIGN_CHROMA) | (away[..., 0] > _FOREIGN_LIGHTNESS)
    return skin, skin & (other | ~mask)


def _skin_hue(frame: np.ndarray, mask: np.ndarray) -> float:
    mean = frame[mask].mean(axis=0)
    _, a, b = cv2.cvtColor((mean / 255).astype(np.float32).reshape(1, 1, 3), cv2.COLOR_RGB2LAB)[0, 0]
    return float(np.degrees(np.arctan2(b, a)))
