"""Cropping the face out of clips and videos (section 3.3), and taking the clips of benchmarks whole."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from vividface.config import ClipsConfig, FacesConfig
from vividface.data.clips import Rejection, from_table, to_table
from vividface.data.planning import PlannedClip
from vividface.errors import InputError
from vividface.faces.base import Face, FaceBackend
from vividface.faces.crops import CropBox, crop_frame, face_box, unified_crop
from vividface.faces.load import load_backend
from vividface.faces.sparse import SparseDetector
from vividface.faces.tracking import FaceTracker, follow, interpolate
from vividface.files import atomic_path
from vividface.video import (
    LazyFrames,
    VideoWriter,
    batched,
    iterate_frames,
    iterate_lazily,
    require_whole,
)

logger = logging.getLogger(__name__)

# What the decoded frames of a clip may take: 17 frames of 1920 x 1080 take 90 MB, 81 of 1280 x 720 take 190.
_KEPT_BYTES = 256 * 2**20
_MEASURES = ("crop_x", "crop_y", "crop_size", "face_px", "lost_share", "padding_share", "sharpness")


@dataclass(frozen=True, kw_only=True)
class ExtractedClip(PlannedClip):
    """What became of a planned clip: a row of `clips/{shard}.parquet`.

    Attributes:
        kept: whether the clip was written.
        crop_x: left edge of the crop, pixels of the video. This and what follows is NaN where the clip was
            rejected before it could be measured, and what is of a crop where it was taken whole.
        crop_y: upper edge of the crop, pixels of the video.
        crop_size: side of the crop, pixels of the video.
        face_px: median width of the face, pixels of the video.
        lost_share: share of the frames in which the face was not found.
        padding_share: share of the crop that lies outside the video.
        sharpness: median over the frames of the standard deviation of the written frame's Laplacian.
    """

    kept: bool = False
    crop_x: float = math.nan
    crop_y: float = math.nan
    crop_size: float = math.nan
    face_px: float = math.nan
    lost_share: float = math.nan
    padding_share: float = math.nan
    sharpness: float = math.nan

    def rejected(self, rejection: Rejection, detail: str) -> ExtractedClip:
        """The clip, not to be used because of this."""
        return replace(self, rejection=rejection, reason=rejection.because(detail))


@dataclass(frozen=True)
class _ClipFaces:
    """The face in each of the F frames of a clip.

    Attributes:
        boxes: (F, 4) float32, pixels of the written frames.
        landmarks: (F, K, 2) float32, pixels of the written frames.
        found: (F,) bool, whether the face was detected and not interpolated.
    """

    boxes: np.ndarray
    landmarks: np.ndarray
    found: np.ndarray


def extract_clips(
    plan: pd.DataFrame,
    clips_config: ClipsConfig,
    *,
    faces_config: FacesConfig,
    hq_dir: Path,
    faces_file: Path,
    crop: bool = True,
    device: str = "cpu",
    threads: int = 1,
) -> pd.DataFrame:
    """Find, follow, crop and write one shard's clips; a clip that fails is recorded and skipped.

    A clip's frames are needed twice, to find the face and to write it: a long clip is decoded again, so that
    memory does not grow with its length. With several threads as many clips are extracted at a time, so that
    decoding, detection and encoding overlap. The face is looked for in every few frames
    (`vividface.faces.sparse`).

    Args:
        plan: rows of the shard, as `plan_clips` gives them.
        clips_config: size and margin of the crops, and the limits of what is kept.
        faces_config: face backend.
        hq_dir: folder of the kept clips, without loss, written atomically.
        faces_file: file of boxes and landmarks, in pixels of the written frames, written atomically; without
            a clip that is taken whole and has no face.
        crop: whether the face is cropped out; otherwise frames are written whole, at their own size, and only
            a clip that cannot be read is rejected.
        device: device of the backend's networks.
        threads: number of clips extracted at a time.

    Returns:
        the columns of `clips/{shard}.parquet` in docs/data-formats.md, ordered by video and first frame.
    """
    backend = load_backend(faces_config, device, threads=threads)
    clips: list[ExtractedClip] = []
    arrays: dict[str, np.ndarray] = {}
    with atomic_path(hq_dir) as folder, ThreadPoolExecutor(threads) as pool:
        folder.mkdir()

        def extract(planned: PlannedClip) -> tuple[ExtractedClip, _ClipFaces | None]:
            return _extract(
                ExtractedClip(**vars(planned)),
                folder / f"{planned.clip_id}.mkv",
                clips_config=clips_config if crop else None,
                backend=backend,
                batch_size=faces_config.batch_size,
            )

        planned_clips = from_table(plan.sort_values(["video_id", "start"]), PlannedClip)
        for clip, faces in pool.map(extract, planned_clips):
            clips.append(clip)
            if faces is not None:
                # safetensors writes an array's memory, whatever its strides.
                arrays[f"{clip.clip_id}.boxes"] = np.ascontiguousarray(faces.boxes)
                arrays[f"{clip.clip_id}.landmarks"] = np.ascontiguousarray(faces.landmarks)
                arrays[f"{clip.clip_id}.found"] = faces.found.astype(np.uint8)
            logger.info("%d/%d %s: %s", len(clips), len(plan), clip.clip_id, clip.reason or "kept")
        with atomic_path(faces_file) as temporary:
            save_file(arrays, temporary)
    return to_table(clips, ExtractedClip).astype({"kept": bool, **dict.fromkeys(_MEASURES, float)})


def extract_video(
    path: Path, output: Path, *, clips_config: ClipsConfig, faces_config: FacesConfig, device: str = "cpu"
) -> CropBox:
    """Crop the face out of a whole video, with its sound, in two passes over the file.

    Args:
        path: path of the video.
        output: path of the crop: lossless (.mkv), or H.264 of high quality (any other suffix).
        clips_config: size and margin of the crop; its limits do not apply.
        faces_config: face backend.
        device: device of the backend's networks.

    Returns:
        the square that is cropped.

    Raises:
        InputError: the video cannot be read or has no face.
    """
    backend = load_backend(faces_config, device)
    info = require_whole(path)
    faces = follow(backend, batched(iterate_frames(path), faces_config.batch_size))
    if all(face is None for face in faces):
        raise InputError(f"{path}: no face is found in any frame; give a video with a visible face")
    boxes, landmarks, _ = interpolate(faces)
    crop = unified_crop(
        face_box(boxes, landmarks),
        frame_height=info.height,
        frame_width=info.width,
        margin=clips_config.margin,
    )
    size = clips_config.size
    codec = "ffv1" if Path(output).suffix == ".mkv" else "h264"
    with VideoWriter(
        output, width=size, height=size, fps=info.fps, codec=codec, crf=8, audio_from=path
    ) as writer:
        for frame in iterate_frames(path):
            writer.write(crop_frame(frame, crop, size))
    return crop


def _extract(
    clip: ExtractedClip,
    destination: Path,
    *,
    clips_config: ClipsConfig | None,
    backend: FaceBackend,
    batch_size: int,
) -> tuple[ExtractedClip, _ClipFaces | None]:
    """Find a clip's face and write its crop; without `clips_config` its whole frames.

    Returns:
        the clip, kept or rejected, and the face in a kept one, if it has one.
    """
    if clip.rejection:
        return clip, None
    try:
        frames = _Frames(clip)
        faces_of_frames = _track(frames.batches(batch_size), backend)
        frame_height, frame_width = frames.sides
        clip = replace(clip, lost_share=sum(face is None for face in faces_of_frames) / len(faces_of_frames))
        if clips_config is None:
            clip, faces = _measure(clip, faces_of_frames)
            sharpness = _write(frames.again(), clip, destination, size=(frame_width, frame_height))
        else:
            clip, located = _locate(
                clip,
                faces_of_frames,
                clips_config=clips_config,
                frame_height=frame_height,
                frame_width=frame_width,
            )
            if located is None:
                return clip, None
            (square, faces), size = located, clips_config.size
            crops = (crop_frame(frame, square, size) for frame in frames.again())
            sharpness = _write(crops, clip, destination, size=(size, size))
    except InputError as error:
        return clip.rejected(Rejection.TRUNCATED, str(error).removeprefix(f"{clip.path}: ")), None
    return replace(clip, kept=True, sharpness=sharpness), faces


class _Frames:
    """The frames of a clip, once in batches and then again.

    Attributes:
        sides: height and width of the frames, once they were seen.
    """

    def __init__(self, clip: PlannedClip) -> None:
        self._range = (clip.path, clip.start, clip.start + clip.frames)
        # None where they would take too much memory.
        self._kept: list[LazyFrames] | None = []
        self.sides = (0, 0)

    def batches(self, size: int) -> Iterator[LazyFrames]:
        for batch in iterate_lazily(*self._range, size=size):
            yield batch
            self.sides = batch[-1].shape[0], batch[-1].shape[1]
            if self._kept is not None:
                self._kept.append(batch)
                if sum(kept.nbytes for kept in self._kept) > _KEPT_BYTES:
                    self._kept = None

    def again(self) -> Iterator[np.ndarray]:
        if self._kept is None:
            return iterate_frames(*self._range)
        return chain.from_iterable(batch.consume() for batch in self._kept)


def _track(batches: Iterable[LazyFrames], backend: FaceBackend) -> list[Face | None]:
    """The face of each frame, None where it is not found."""
    tracker, detector = FaceTracker(backend), SparseDetector(backend, turned=False)
    for frames in batches:
        tracker.update(frames, detector.detect(frames, [False] * len(frames)))
    return tracker.person()


def _measure(clip: ExtractedClip, faces: list[Face | None]) -> tuple[ExtractedClip, _ClipFaces | None]:
    """A clip that is taken whole with its face's width, and the face, if there is one."""
    if clip.lost_share == 1:
        return clip, None
    boxes, landmarks, found = interpolate(faces)
    return replace(clip, face_px=_face_px(boxes, landmarks)), _ClipFaces(boxes, landmarks, found)


def _locate(
    clip: ExtractedClip,
    faces: list[Face | None],
    *,
    clips_config: ClipsConfig,
    frame_height: int,
    frame_width: int,
) -> tuple[ExtractedClip, tuple[CropBox, _ClipFaces] | None]:
    """Choose the crop of a clip and check the limits.

    Returns:
        the clip with its measures, rejected where a limit is exceeded; unless it is, its crop and the face in
        that.
    """
    lost_share = clip.lost_share
    if lost_share == 1:
        return clip.rejected(Rejection.NO_FACE, "none is found in any frame"), None
    if lost_share > clips_config.max_lost_share:
        limit = f"more than {clips_config.max_lost_share:.0%}"
        return clip.rejected(Rejection.FACE_LOST, f"in {lost_share:.0%} of the frames, {limit}"), None

    boxes, landmarks, found = interpolate(faces)
    face_px = _face_px(boxes, landmarks)
    clip = replace(clip, face_px=face_px)
    if face_px < clips_config.min_face:
        detail = f"{face_px:.0f} px wide, less than {clips_config.min_face}"
        return clip.rejected(Rejection.SMALL_FACE, detail), None

    crop = unified_crop(
        face_box(boxes, landmarks)[found],
        frame_height=frame_height,
        frame_width=frame_width,
        margin=clips_config.margin,
    )
    padding_share = crop.padding_share(height=frame_height, width=frame_width)
    clip = replace(clip, crop_x=crop.x, crop_y=crop.y, crop_size=crop.size, padding_share=padding_share)
    if padding_share > clips_config.max_padding_share:
        detail = (
            f"{padding_share:.0%} of the crop lies outside the frame, "
            f"more than {clips_config.max_padding_share:.0%}"
        )
        return clip.rejected(Rejection.PADDING, detail), None
    boxes = crop.to_crop(boxes.reshape(-1, 2, 2), clips_config.size).reshape(-1, 4)
    landmarks = crop.to_crop(landmarks, clips_config.size)
    return clip, (crop, _ClipFaces(boxes, landmarks, found))


def _face_px(boxes: np.ndarray, landmarks: np.ndarray) -> float:
    """The median width of a face."""
    whole_faces = face_box(boxes, landmarks)
    return float(np.median(whole_faces[:, 2] - whole_faces[:, 0]))


def _write(
    frames: Iterable[np.ndarray], clip: PlannedClip, destination: Path, *, size: tuple[int, int]
) -> float:
    """Write a clip's frames, of this width and height, without loss; returns their sharpness."""
    sharpness = []
    fps = Fraction(clip.fps)
    # Read by each degradation, by the training, and for each method that is measured.
    with VideoWriter(destination, width=size[0], height=size[1], fps=fps, codec="utvideo") as writer:
        for frame in frames:
            writer.write(frame)
            sharpness.append(cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())
    return float(np.median(sharpness))
