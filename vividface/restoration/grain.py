"""Film grain: measured in the input, and put back where a restoration removed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

# Standard deviation, px, of the blur beyond which a frame is grain, and the blocks in which that is measured.
_COARSE, _BLOCK = 4.0, 8
# Blocks of a spectrum, px, and the side of the field of grain, which repeats over the frame.
_SPECTRUM, _FIELD = 16, 256
# Brightness, 0 to 255, at which grain is measured, and the levels beyond which pixels are clipped.
_LEVELS = np.linspace(16, 240, 8, dtype=np.float32)
_CLIPPED = (8.0, 247.0)
# Frames of a window in which grain is measured, each with the one before it.
_MEASURED = 6
# Share of the blocks that are smooth enough to show nothing but grain, and the fewest that tell it.
_SMOOTH, _FEWEST = 0.3, 12
# Standard deviation of luma, of 255, below which a video counts as clean: it is that of rounding and coding.
_CLEAN = 1.0
_SEED = 0x6721
# BT.601, full range: luma and the two colour differences of RGB.
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)
_TO_RGB = np.linalg.inv(_TO_YCC).astype(np.float32)


@dataclass(frozen=True)
class Grain:
    """The grain of some frames.

    Attributes:
        deviations: standard deviations (8, 3) float32 of luma and the two colour differences, of 255, at
            eight levels of brightness.
        power: powers (3, 16, 16) float32 of the three over frequency, mean 1, as FFTs have them.
    """

    deviations: np.ndarray
    power: np.ndarray

    @property
    def luma(self) -> float:
        """Standard deviation of luma, of 255, in the mean over brightness."""
        return float(self.deviations[:, 0].mean())

    def at(self, levels: np.ndarray) -> np.ndarray:
        """The standard deviations (..., 3) at levels (...) of brightness, of 255."""
        table = [np.interp(np.arange(256), _LEVELS, column) for column in self.deviations.T]
        return np.stack(table, axis=-1).astype(np.float32)[levels.round().clip(0, 255).astype(np.uint8)]


class LostGrain:
    """The grain that a restoration removed, to be put back.

    Args:
        before: grain of the input.
        after: grain of restored pixels.
    """

    def __init__(self, before: Grain, after: Grain) -> None:
        lost = np.sqrt((before.deviations**2 - after.deviations**2).clip(0))
        powers = [
            np.square(one.deviations).mean(axis=0)[:, None, None] * one.power for one in (before, after)
        ]
        power = (powers[0] - powers[1]).clip(0)
        self._lost = Grain(lost, power / np.maximum(power.mean(axis=(1, 2), keepdims=True), 1e-9))
        shares = after.deviations / np.maximum(before.deviations, 1e-3)
        self._kept = Grain(shares.clip(0, 1), self._lost.power)
        self._amplitudes = _calibrated(_enlarged(np.sqrt(self._lost.power)))

    def add(
        self, frame: np.ndarray, mask: np.ndarray, *, index: int, corner: tuple[int, int], strength: float
    ) -> np.ndarray:
        """Put the grain back in a part of a frame.

        Args:
            frame: restored part (H, W, 3), uint8 or uint16, RGB.
            mask: share (H, W) of the restoration in each pixel, in [0, 1]; 0 changes nothing.
            index: index of the frame, which its grain is drawn from: the same gives the same.
            corner: row and column of the part in its frame.
            strength: factor of what is put back.

        Returns:
            (H, W, 3) of the frame's type.
        """
        levels = cv2.GaussianBlur(_luma(frame), (0, 0), _COARSE)
        kept, share = self._kept.at(levels), mask[..., None]
        # Of a mixture of old and restored pixels: 1 where all are restored, 0 where none is.
        removed = np.sqrt(share * (2 - share * (1 - kept)) / (1 + kept))
        rows, columns = (
            (np.arange(length) + start) % _FIELD for length, start in zip(mask.shape, corner, strict=True)
        )
        field = _field(self._amplitudes, index)[rows[:, None], columns]
        noise = (strength * self._lost.at(levels) * removed * field) @ _TO_RGB.T
        peak = np.iinfo(frame.dtype).max
        return np.asarray(np.rint((frame + noise * (peak / 255)).clip(0, peak)).astype(frame.dtype))


def measure_grain(frames: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None) -> Grain | None:
    """The grain of successive frames, by what is new in each of them and fine.

    What is left of a frame beside its blurred copy is grain, texture and edges; of the difference to the
    frame before, grain and what moves. In each block the smaller counts, and of the blocks the smooth ones.

    Args:
        frames: frames (H, W, 3), uint8 or uint16, RGB, of one part of a picture.
        masks: where grain is measured, (H, W) bool each; None measures it everywhere.

    Returns:
        the grain, of no strength where the frames are clean; None where they are too small to tell.
    """
    statistics = _Statistics()
    first = min(1, len(frames) - 1)
    for index in np.unique(np.linspace(first, len(frames) - 1, _MEASURED).round().astype(int)):
        fine, coarse = _parts(frames[index])
        novel = (fine - _parts(frames[index - 1])[0]) / np.float32(np.sqrt(2)) if index else fine
        statistics.add(fine, novel, coarse[..., 0], None if masks is None else masks[index])
    return statistics.grain()


class _Statistics:
    """What blocks of frames show."""

    def __init__(self) -> None:
        self._levels: list[np.ndarray] = []
        self._variances: list[np.ndarray] = []
        self._spectra: list[np.ndarray] = []
        self._roughness: list[np.ndarray] = []

    def add(self, fine: np.ndarray, novel: np.ndarray, luma: np.ndarray, mask: np.ndarray | None) -> None:
        """Take the fine and the novel part (H, W, 3) and the luma (H, W) of a frame."""
        levels = _means(luma, _BLOCK)
        used = (levels > _CLIPPED[0]) & (levels < _CLIPPED[1])
        if mask is not None:
            used &= _means(mask.astype(np.float32), _BLOCK) > 0.99
        variances = np.minimum(_means(fine**2, _BLOCK), _means(novel**2, _BLOCK))
        self._levels.append(levels[used])
        self._variances.append(variances[used])
        factor = _SPECTRUM // _BLOCK
        whole = _means(used.astype(np.float32), factor) > 0.99
        blocks = _blocks(novel, _SPECTRUM)[: whole.shape[0], : whole.shape[1]][whole]
        window = np.hanning(_SPECTRUM + 2)[1:-1, None]
        self._spectra.append(np.abs(np.fft.fft2(blocks * (window * window.T)[..., None], axes=(1, 2))) ** 2)
        self._roughness.append(_means(variances[..., 0], factor)[whole])

    def grain(self) -> Grain | None:
        """The grain of all frames."""
        levels, variances = np.concatenate(self._levels), np.concatenate(self._variances)
        roughness, spectra = np.concatenate(self._roughness), np.concatenate(self._spectra)
        if len(levels) < _FEWEST or not len(roughness):
            return None
        if np.sqrt(np.quantile(variances[:, 0], _SMOOTH)) < _CLEAN:
            white = np.ones((3, _SPECTRUM, _SPECTRUM), np.float32)
            return Grain(np.zeros((len(_LEVELS), 3), np.float32), white)
        smooth = roughness <= np.quantile(roughness, _SMOOTH)
        power = np.moveaxis(spectra[smooth].mean(axis=0), -1, 0)
        power /= np.maximum(power.mean(axis=(1, 2), keepdims=True), 1e-9)
        return Grain(_by_level(levels, variances), power.astype(np.float32))


def _field(amplitudes: np.ndarray, index: int) -> np.ndarray:
    """Noise (256, 256, 3) with amplitudes (3, 256, 129) over frequency, which repeats over the frame."""
    white = np.random.default_rng([_SEED, index]).standard_normal((3, _FIELD, _FIELD), np.float32)
    shaped = np.fft.irfft2(np.fft.rfft2(white) * amplitudes, s=(_FIELD, _FIELD))
    return np.ascontiguousarray(np.moveaxis(shaped, 0, -1), np.float32)


def _calibrated(amplitudes: np.ndarray) -> np.ndarray:
    """The same amplitudes, scaled so that a measurement of their noise gives 1."""
    fields = [_field(amplitudes, index) for index in (0, 1)]
    fine = [field - _blurred(field) for field in fields]
    novel = (fine[1] - fine[0]) / np.float32(np.sqrt(2))
    variances = np.minimum(_means(fine[1] ** 2, _BLOCK), _means(novel**2, _BLOCK)).reshape(-1, 3)
    seen = np.sqrt(np.quantile(variances, _SMOOTH, axis=0))
    return np.asarray(amplitudes / np.maximum(seen, 1e-6)[:, None, None])


def _by_level(levels: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Standard deviations (8, 3) at each brightness; levels without blocks take those of their neighbours."""
    step = float(_LEVELS[1] - _LEVELS[0])
    bins = np.rint((levels - _LEVELS[0]) / step).astype(int).clip(0, len(_LEVELS) - 1)
    values = np.zeros((len(_LEVELS), 3), np.float32)
    counts = np.zeros(len(_LEVELS), np.float32)
    for index in np.unique(bins):
        blocks = variances[bins == index]
        counts[index] = len(blocks)
        values[index] = np.quantile(blocks, _SMOOTH, axis=0)
    places = np.arange(len(_LEVELS))
    weights = (np.exp(-2.0 * (places[:, None] - places) ** 2) + 1e-9) * counts
    return np.asarray(np.sqrt(weights @ values / weights.sum(axis=1, keepdims=True)), np.float32)


def _parts(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fine and the coarse part (H, W, 3) of a frame, luma and colour differences, of 255."""
    values = frame.astype(np.float32) * np.float32(255 / np.iinfo(frame.dtype).max) @ _TO_YCC.T
    coarse = _blurred(values)
    return values - coarse, coarse


def _blurred(values: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _COARSE, borderType=cv2.BORDER_REFLECT))


def _luma(frame: np.ndarray) -> np.ndarray:
    scale = np.float32(255 / np.iinfo(frame.dtype).max)
    return np.asarray(frame.astype(np.float32) @ (_TO_YCC[0] * scale))


def _blocks(values: np.ndarray, side: int) -> np.ndarray:
    """Blocks (H // side, W // side, side, side, ...) of values (H, W, ...)."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    cut = values[: rows * side, : columns * side].reshape(rows, side, columns, side, *values.shape[2:])
    return np.asarray(np.swapaxes(cut, 1, 2))


def _means(values: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(_blocks(values, side).mean(axis=(2, 3)))


def _enlarged(spectra: np.ndarray) -> np.ndarray:
    """Amplitudes (3, 16, 16) between their frequencies, (3, 256, 129) as `rfft2` has them."""
    factor = _FIELD // _SPECTRUM
    centred = np.fft.fftshift(spectra, axes=(1, 2))
    # The highest frequency has one sample for both signs.
    padded = np.pad(centred, [(0, 0), (0, 1), (0, 1)], mode="wrap")
    places = np.arange(_FIELD, dtype=np.float32) / factor
    grid = np.meshgrid(places, places)
    enlarged = np.stack([cv2.remap(one, *grid, cv2.INTER_LINEAR) for one in padded.astype(np.float32)])
    return np.asarray(np.fft.ifftshift(enlarged, axes=(1, 2))[..., : _FIELD // 2 + 1])
