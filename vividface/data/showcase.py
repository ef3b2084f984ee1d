"""A whole video to show: its face crop, and that crop degraded, both with sound."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from vividface.config import Config
from vividface.data.degradation import degrade_clip, draw_parameters
from vividface.data.extraction import extract_video
from vividface.video import VideoWriter, iterate_frames, probe, resize


def write_showcase(videos: pd.DataFrame, config: Config, *, hq: Path, lq: Path, device: str = "cpu") -> None:
    """Crop the face out of a dataset's first video, and degrade the crop.

    Args:
        videos: one row per video: `video_id`, `path`.
        config: face backend, size and margin of the crop, degradation and seed.
        hq: path of the crop.
        lq: path of the degraded crop.
        device: device of the face backend's networks.

    Raises:
        InputError: the video cannot be read or has no face.
    """
    video = videos.iloc[0]
    extract_video(
        Path(video["path"]), hq, clips_config=config.clips, faces_config=config.faces, device=device
    )
    parameters = draw_parameters(config.degradation, seed=config.seed, clip_id=video["video_id"])
    with tempfile.TemporaryDirectory() as folder:
        encoded = Path(folder) / "encoded.mkv"
        degrade_clip(hq, encoded, parameters=parameters, config=config.degradation)
        write_watchable(encoded, hq, lq)


def write_watchable(degraded: Path, source: Path, output: Path) -> None:
    """Write a degraded video at its source's size and with its sound, as H.264 of high quality.

    Args:
        degraded: path of the degraded video, as `degrade_clip` writes it.
        source: path of the video that was degraded.
        output: path of the result.
    """
    info = probe(source)
    size = (info.width, info.height)
    with VideoWriter(
        output,
        width=info.width,
        height=info.height,
        fps=info.fps,
        codec="h264",
        crf=12,
        audio_from=source,
    ) as writer:
        for frame in iterate_frames(degraded):
            writer.write(resize(frame, size))
