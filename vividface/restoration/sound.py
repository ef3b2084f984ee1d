"""Sound that a container does not hold as it is: decoded, and encoded as AAC, in step with the pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler

# The usual layout of so many channels, for sound that does not say which they are.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
# Sample rates of AAC, Hz.
_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
# Bits per second and channel.
_BIT_RATE = 96_000
# s: a gap, or an overlap, of time stamps that is longer is filled with silence, or cut.
_TOLERANCE = 0.05
# s: a longer gap is no gap, but a stamp that is wrong.
_LONGEST_GAP = 3600


class AacEncoder:
    """Encodes the sound of one stream.

    Args:
        container: opened result, to which the stream is added.
        sample_rate: sample rate of the sound, Hz.
        num_channels: number of its channels, as `has_layout` knows.
    """

    def __init__(
        self, container: av.container.OutputContainer, *, sample_rate: int, num_channels: int
    ) -> None:
        self._rate = _nearest_rate(sample_rate)
        self._layout = _LAYOUTS[num_channels]
        self.stream = container.add_stream("aac", rate=self._rate)
        assert isinstance(self.stream, av.AudioStream)
        self.stream.codec_context.layout = self._layout
        self.stream.codec_context.bit_rate = _BIT_RATE * self.stream.codec_context.layout.nb_channels
        self._resampler = self._new_resampler()
        self._shape: tuple[object, ...] = ()
        # Samples written, counted from time 0; None before the first.
        self._position: int | None = None

    def encoded(self, frames: Iterable[av.AudioFrame]) -> Iterator[av.Packet[Any]]:
        """The packets of decoded frames, whose time stamps are kept.

        Args:
            frames: frames with their times, in order.
        """
        fifo: list[np.ndarray] = []
        for frame in frames:
            begin = None if frame.pts is None else float(frame.pts * (frame.time_base or 0))
            samples = [_samples(part) for part in self._resampled(_named(frame))]
            if samples:
                fifo.append(self._placed(np.concatenate(samples, axis=1), begin))
                yield from self._full_blocks(fifo)
        fifo += [_samples(part) for part in self._resampler.resample(None)]
        yield from self._full_blocks(fifo)
        if fifo and fifo[0].shape[1]:
            yield from self._block(fifo[0])
        yield from self.stream.encode(None)

    def _resampled(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        """A frame at the result's rate and layout; both may change within the sound, as in a broadcast."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self._resampler.resample(None)
            self._resampler, self._shape = self._new_resampler(), shape
        yield from self._resampler.resample(frame)

    def _new_resampler(self) -> AudioResampler:
        # Packed: PyAV reads beyond the planes of a frame that has eight or more of them.
        return AudioResampler(format="flt", layout=self._layout, rate=self._rate)

    def _placed(self, samples: np.ndarray, begin: float | None) -> np.ndarray:
        """Samples with silence before them where there is a gap, or without those that are there already."""
        if self._position is None:
            self._position = self._next = round((begin or 0.0) * self._rate)
        gap = 0 if begin is None else round(begin * self._rate) - self._next
        if abs(gap) < _TOLERANCE * self._rate or gap > _LONGEST_GAP * self._rate:
            gap = 0
        if gap > 0:
            samples = np.pad(samples, [(0, 0), (gap, 0)])
        elif gap < 0:
            samples = samples[:, -gap:]
        self._next += samples.shape[1]
        return samples

    def _full_blocks(self, fifo: list[np.ndarray]) -> Iterator[av.Packet[Any]]:
        size = self.stream.codec_context.frame_size or 1024
        if sum(part.shape[1] for part in fifo) < size:
            return
        samples = np.concatenate(fifo, axis=1)
        whole = samples.shape[1] - samples.shape[1] % size
        for start in range(0, whole, size):
            yield from self._block(samples[:, start : start + size])
        fifo[:] = [samples[:, whole:]]

    def _block(self, samples: np.ndarray) -> Iterator[av.Packet[Any]]:
        assert self._position is not None
        packed = np.ascontiguousarray(samples.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += samples.shape[1]
        yield from self.stream.encode(frame)


def has_layout(num_channels: int) -> bool:
    """Whether AAC has a layout of so many channels."""
    return num_channels in _LAYOUTS


def _named(frame: av.AudioFrame) -> av.AudioFrame:
    """A frame without time stamps, whose channels have names."""
    if "channels" not in frame.layout.name:
        frame.pts = None
        return frame
    if frame.format.is_planar:
        (frame,) = AudioResampler(format=frame.format.packed.name, layout=frame.layout).resample(frame)
    layout = _LAYOUTS[frame.layout.nb_channels]
    named = av.AudioFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name, layout=layout)
    named.sample_rate = frame.sample_rate
    return named


def _samples(frame: av.AudioFrame) -> np.ndarray:
    """The samples of a packed frame, (channels, samples)."""
    return frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T


def _nearest_rate(rate: int) -> int:
    return min(_RATES, key=lambda supported: (abs(supported - rate), -supported))
