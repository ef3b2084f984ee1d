"""Degradation synthesis, y = [(x * k_sigma) down_r + n_delta] through ffmpeg at crf (section 4.1)."""

from __future__ import annotations

import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from vividface.config import DegradationConfig
from vividface.files import atomic_path
from vividface.video import VideoWriter, ffmpeg_version, iterate_frames, probe


@dataclass(frozen=True)
class DegradationParameters:
    """What was drawn for one clip.

    Attributes:
        seed: of the clip's own generator, which also draws the noise.
        sigma: standard deviation of the blur, px.
        scale: down-sampling factor r.
        noise: standard deviation of the noise, of 255.
        crf: of the encoder.
    """

    seed: int
    sigma: float
    scale: float
    noise: float
    crf: int


def draw_parameters(config: DegradationConfig, seed: int, clip_id: str) -> DegradationParameters:
    """Draw a clip's parameters, each uniformly from its range.

    They follow from (seed, clip id) alone, so that any clip can be made again alone.
    """
    digest = hashlib.sha256(f"{seed}/{clip_id}".encode()).digest()
    clip_seed = int.from_bytes(digest[:6], "big")
    generator = np.random.default_rng(clip_seed)
    return DegradationParameters(
        seed=clip_seed,
        sigma=float(generator.uniform(*config.sigma)),
        scale=float(generator.uniform(*config.scale)),
        noise=float(generator.uniform(*config.noise)),
        crf=int(generator.integers(config.crf[0], config.crf[1], endpoint=True)),
    )


def degrade_clip(
    source: Path,
    destination: Path,
    parameters: DegradationParameters,
    config: DegradationConfig,
    audio_from: Path | None = None,
) -> None:
    """Degrade one clip, frame by frame, and resize it back to its own size (bicubic).

    The blur's kernel is cut off at 4 sigma, OpenCV's choice for floating-point images, and edges are
    mirrored; down-sampling averages areas; the noise is new in every frame and independent in R, G and B;
    sides are rounded to even numbers, which yuv420p needs. One encoder thread and noise from the clip's own
    seed make the same bytes from the same arguments.

    Args:
        source: the clip.
        destination: lossless (.mkv), or H.264 of high quality (any other suffix).
        parameters: of `draw_parameters`.
        config: codec and encoder preset.
        audio_from: a file whose audio is copied; None for none.

    Raises:
        InputError: the clip cannot be read.
    """
    info = probe(source)
    width, height = (max(2, 2 * round(side / parameters.scale / 2)) for side in (info.width, info.height))
    generator = np.random.default_rng(parameters.seed + 1)
    codec = "ffv1" if Path(destination).suffix == ".mkv" else "h264"
    with tempfile.TemporaryDirectory() as directory:
        encoded = Path(directory) / "encoded.mkv"
        options: dict[str, str | int] = {
            "vcodec": config.codec,
            "preset": config.encoder_preset,
            "crf": parameters.crf,
            "pix_fmt": "yuv420p",
            "threads": 1,
        }
        with VideoWriter(encoded, width, height, info.fps, options=options) as encoder:
            for frame in iterate_frames(source):
                encoder.write(_corrupt(frame, width, height, parameters, generator))
        size = (info.width, info.height)
        with VideoWriter(destination, *size, info.fps, codec, crf=12, audio_from=audio_from) as writer:
            for frame in iterate_frames(encoded):
                writer.write(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC))


def degrade_shard(
    clips: pd.DataFrame, hq_dir: Path, lq_dir: Path, config: DegradationConfig, seed: int, workers: int
) -> pd.DataFrame:
    """Degrade a shard's clips, several at a time.

    Args:
        clips: one row per clip, with `clip_id`.
        hq_dir: the clips.
        lq_dir: gets the degraded clips, written atomically.
        config: ranges and encoder.
        seed: of the experiment.
        workers: clips at a time; each has one encoder thread, which keeps its bytes reproducible.

    Returns:
        the columns of `degradation/{shard}.parquet` in docs/data-formats.md.
    """
    drawn = {clip: draw_parameters(config, seed, clip) for clip in clips["clip_id"]}
    with atomic_path(lq_dir) as folder, ThreadPoolExecutor(workers) as pool:
        folder.mkdir()

        def run(clip: str) -> None:
            degrade_clip(Path(hq_dir) / f"{clip}.mkv", folder / f"{clip}.mkv", drawn[clip], config)

        for _ in pool.map(run, drawn):
            pass
    rows = [{"clip_id": clip, **asdict(parameters)} for clip, parameters in drawn.items()]
    columns = ["clip_id", *DegradationParameters.__dataclass_fields__]
    return pd.DataFrame(rows, columns=columns).assign(
        codec=config.codec, encoder_preset=config.encoder_preset, ffmpeg=ffmpeg_version()
    )


def _corrupt(
    frame: np.ndarray,
    width: int,
    height: int,
    parameters: DegradationParameters,
    generator: np.random.Generator,
) -> np.ndarray:
    """Blur, down-sample and add noise: (H, W, 3) uint8 to (height, width, 3) uint8."""
    blurred = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), parameters.sigma)
    small = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_AREA)
    noisy = small + generator.normal(0, parameters.noise, small.shape).astype(np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
