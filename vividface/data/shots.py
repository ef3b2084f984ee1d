"""Splitting videos at their cuts: a clip lies within one shot."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scenedetect import ContentDetector, FrameTimecode
from tqdm import tqdm

from vividface.errors import InputError
from vividface.video import is_truncated, iterate_frames, probe

# Cuts are as plain in small pictures, and a tenth of the work.
_LONGER_SIDE = 256
_COLUMNS = ["video_id", "start", "stop", "fps", "reason"]


def find_shots(videos: pd.DataFrame, threshold: float | None) -> pd.DataFrame:
    """The shots of videos.

    Args:
        videos: `video_id`, `path`, and, where some are missing, `reason`.
        threshold: of PySceneDetect's content detector, the mean change of hue, saturation and value from
            frame to frame, 0..255; None takes each video for one shot, without decoding it.

    Returns:
        the columns of `shots/{shard}.parquet` in docs/data-formats.md. A video that cannot be read is one row
        with its reason; so is the missing end of one that is truncated, behind its shots.
    """
    rows: list[dict] = []
    for video in tqdm(videos.to_dict("records"), desc="shots", unit="video"):
        if video.get("reason"):
            missing = {"start": 0, "stop": 0, "fps": "", "reason": f"unreadable: {video['reason']}"}
            rows.append({"video_id": video["video_id"], **missing})
        else:
            rows += [{"video_id": video["video_id"], **row} for row in _shots(Path(video["path"]), threshold)]
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"start": "int64", "stop": "int64"})


def _shots(path: Path, threshold: float | None) -> list[dict]:
    try:
        info = probe(path)
    except InputError as error:
        return [{"start": 0, "stop": 0, "fps": "", "reason": f"unreadable: {_without_path(error, path)}"}]
    end, cuts, failure = info.frames, [0], f"the file ends after {info.frames} frames"
    damaged = is_truncated(path)
    if threshold is not None:
        cuts, end, reason = _cuts(path, threshold)
        damaged, failure = damaged or bool(reason), reason or failure
    rows = [
        {"start": start, "stop": stop, "fps": str(info.fps), "reason": ""}
        for start, stop in zip(cuts, [*cuts[1:], end], strict=True)
    ]
    if damaged:
        reason = f"truncated: {failure}"
        rows.append({"start": end, "stop": end, "fps": str(info.fps), "reason": reason})
    return rows


class CutDetector:
    """Tells where shots begin, frame by frame.

    Args:
        threshold: of PySceneDetect's content detector, the mean change of hue, saturation and value from
            frame to frame, 0..255.
    """

    def __init__(self, threshold: float) -> None:
        self._detector = ContentDetector(threshold, min_scene_len=1)
        self._count = 0

    def starts_shot(self, frame: np.ndarray) -> bool:
        """Whether a cut lies between the frame before and this one, (H, W, 3) uint8, RGB."""
        # The rate only names frames in seconds, which nobody asks for.
        found = self._detector.process_frame(FrameTimecode(self._count, 25.0), _small(frame))
        self._count += 1
        return any(cut.frame_num == self._count - 1 for cut in found)


def _cuts(path: Path, threshold: float) -> tuple[list[int], int, str]:
    """Where shots begin, the number of frames, and why there are no more of them if the file is damaged."""
    detector = CutDetector(threshold)
    cuts, count = [0], 0
    try:
        for frame in iterate_frames(path):
            if detector.starts_shot(frame) and count:
                cuts.append(count)
            count += 1
    except InputError as error:
        return [cut for cut in cuts if cut < count] or [0], count, _without_path(error, path)
    return cuts, count, ""


def _small(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB to BGR with a longer side of at most 256 px."""
    height, width = frame.shape[:2]
    scale = min(_LONGER_SIDE / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.ascontiguousarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA)[..., ::-1])


def _without_path(error: InputError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
