"""Baselines that need no training of ours: the degraded input, classical filters, a general network."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import ffmpeg
import ncnn
import numpy as np
import torch

from vividface.config import BASELINES
from vividface.errors import InputError
from vividface.restoration.base import Restorer
from vividface.video import ffmpeg_executable
from vividface.weights.cache import weights_path

# Below this many pixels of the shorter side, halving a frame takes the eyes from a face.
_HALVED_FROM = 256


def bicubic(frames: np.ndarray) -> np.ndarray:
    """The degraded frames as they are: degradation has resized them back bicubically already."""
    return frames


def classical(frames: np.ndarray) -> np.ndarray:
    """FFmpeg's 3-D noise filter `hqdn3d` and then `unsharp`, both with their own defaults.

    On ten degraded face clips this raises PSNR from 25.84 to 26.12 dB at 128 px, and from 26.80 to 26.82 at
    512 px.

    Args:
        frames: (F, H, W, 3) uint8 RGB.

    Returns:
        the same shape and type.
    """
    count, height, width = frames.shape[:3]
    size = f"{width}x{height}"
    # hqdn3d works on planar YUV; 4:4:4 keeps the colours' resolution and odd sizes.
    stream = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=size, r=25)
    stream = stream.filter("format", "yuv444p").filter("hqdn3d").filter("unsharp")
    stream = stream.output("pipe:", format="rawvideo", pix_fmt="rgb24").global_args("-v", "error")
    # A file holds the output, because a pipe for either end would stall on the other.
    with tempfile.TemporaryFile() as filtered:
        command = ffmpeg.compile(stream, cmd=ffmpeg_executable())
        result = subprocess.run(
            command,
            input=np.ascontiguousarray(frames).data,
            stdout=filtered,
            stderr=subprocess.PIPE,
            check=False,
        )
        filtered.seek(0)
        restored = np.frombuffer(filtered.read(), np.uint8)
    if result.returncode or restored.size != frames.size:
        message = result.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"ffmpeg's filters failed on {count} frames of {size}: {message[-1:]}")
    return restored.reshape(frames.shape).copy()


class RealESRGAN:
    """Real-ESRGAN's small video network realesr-animevideov3, x2, frame by frame on the CPU with ncnn.

    Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCVW
    2021. The degraded frames have their full size already. They are reduced to half and enlarged by the
    network, as it was trained to: on ten degraded face clips this scores higher than the network at full size
    with its output reduced (PSNR 27.18 against 27.03 dB at 512 px, 27.31 against 26.89 at 256 px), looks
    cleaner and takes a quarter of the time. Smaller frames are given at full size: at 128 px the half loses
    the eyes (26.49 against 26.60 dB).

    Args:
        param: file of the network's graph.
        weights: file of the network's weights.
    """

    def __init__(self, param: Path, weights: Path) -> None:
        self._net = ncnn.Net()
        self._net.opt.num_threads = torch.get_num_threads()
        if self._net.load_param(str(param)) or self._net.load_model(str(weights)):
            raise InputError(f"{weights}: ncnn cannot load it; delete it and run `vividface weights fetch`")

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Restore frames (F, H, W, 3) uint8 RGB; the same shape and type."""
        return np.stack([self._restore(frame) for frame in frames])

    def _restore(self, frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        if min(height, width) >= _HALVED_FROM:
            half = (-(-width // 2), -(-height // 2))
            frame = cv2.resize(frame, half, interpolation=cv2.INTER_AREA)
        enlarged = self._enlarge(np.ascontiguousarray(frame))
        if enlarged.shape[:2] == (height, width):
            return enlarged
        return np.asarray(cv2.resize(enlarged, (width, height), interpolation=cv2.INTER_AREA))

    def _enlarge(self, frame: np.ndarray) -> np.ndarray:
        """(h, w, 3) to (2h, 2w, 3), uint8 RGB; the network works on [0, 1]."""
        height, width = frame.shape[:2]
        image = ncnn.Mat.from_pixels(frame, ncnn.Mat.PixelType.PIXEL_RGB, width, height)
        image.substract_mean_normalize([], [1 / 255] * 3)
        extractor = self._net.create_extractor()
        extractor.input("data", image)
        status, output = extractor.extract("output")
        if status:
            raise RuntimeError(f"ncnn failed on a frame of {width}x{height} with status {status}")
        planes = np.array(output).transpose(1, 2, 0) * 255
        return np.asarray(np.clip(np.rint(planes), 0, 255).astype(np.uint8))


# How the restorer of a baseline is loaded, by the baseline's name.
_LOADERS: dict[str, Callable[[], Restorer]] = {
    "bicubic": lambda: bicubic,
    "classical": lambda: classical,
    "realesrgan": lambda: RealESRGAN(weights_path("realesrgan_param"), weights_path("realesrgan_bin")),
}


def load_builtin(name: str) -> Restorer:
    """The restorer of a baseline that is no model of ours.

    Args:
        name: name of the baseline.

    Raises:
        InputError: there is no such baseline.
        MissingWeightsError: its network has not been fetched.
    """
    if name not in _LOADERS:
        raise InputError(
            f"evaluation.baselines: there is no baseline {name!r}; choose of {', '.join(BASELINES)}"
        )
    return _LOADERS[name]()
