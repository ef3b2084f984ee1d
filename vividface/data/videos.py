"""The videos of a folder: files, and folders of frames that are encoded without loss."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

import cv2
import pandas as pd

from vividface.errors import InputError
from vividface.files import natural_order, sha256
from vividface.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, VideoWriter, is_video


@dataclass(frozen=True, kw_only=True)
class SourceVideo:
    """A video of a dataset: a row of `videos.parquet`.

    Attributes:
        video_id: id of the video, safe in paths.
        path: path of the file.
        sha256: checksum of the file; empty where it could not be fetched.
        person: name of who is seen.
        reason: why the file could not be fetched, or empty.
    """

    video_id: str
    path: str
    sha256: str
    person: str
    reason: str = ""


def table_of(videos: Sequence[SourceVideo]) -> pd.DataFrame:
    """The videos as a table."""
    return pd.DataFrame(
        [vars(video) for video in videos], columns=[field.name for field in fields(SourceVideo)]
    )


def videos_in_folder(
    folder: Path, *, key: str, pattern: str, frames_fps: float | None, encoded: Path
) -> list[SourceVideo]:
    """The videos of a folder and of the folders in it.

    Args:
        folder: the folder.
        key: key of the source in the configuration, for messages.
        pattern: pattern of the files' names.
        frames_fps: frame rate of folders of frames, which are videos too; None ignores them.
        encoded: folder of the videos that folders of frames are encoded to, without loss, under the folders'
            own paths.

    Raises:
        InputError: there is no video, or a frame cannot be read.
    """
    matches = files_in_folder(folder, key=key, pattern=pattern)
    videos = [path for path in matches if is_video(path)]
    names = [path.stem for path in videos]
    if frames_fps is not None:
        for frames in sorted({path.parent for path in matches if _is_frame(path)}):
            parts = frames.relative_to(folder).parts or (folder.name,)
            output = encoded.joinpath(*parts[:-1], f"{parts[-1]}.mkv")
            videos.append(_encode_frames(frames, output, frames_fps))
            names.append("_".join(parts))
    if not videos:
        raise InputError(
            f"{key}: no video in {folder} matches the pattern {pattern!r}; known suffixes are "
            f"{', '.join(sorted(VIDEO_SUFFIXES))}; a folder of frames is a video if frames_fps is set"
        )
    return [
        SourceVideo(video_id=identifier, path=str(path), sha256=sha256(path), person=name)
        for identifier, path, name in zip(identifiers(names), videos, names, strict=True)
    ]


def files_in_folder(folder: Path, *, key: str, pattern: str) -> list[Path]:
    """What a folder, and the folders in it, hold of a pattern, in order.

    Args:
        folder: the folder.
        key: key of the source in the configuration, for messages.
        pattern: pattern of the files' names.

    Raises:
        InputError: it is no pattern.
    """
    try:
        return sorted(folder.rglob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise InputError(f"{key}.pattern: {pattern!r} is not a pattern ({error})") from None


def identifiers(names: Sequence[str]) -> list[str]:
    """Identifiers that are safe in paths and of which no two are equal: a later one gets a number."""
    unique: dict[str, None] = {}
    for name in names:
        base = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "video"
        candidate, number = base, 2
        while candidate in unique:
            candidate, number = f"{base}_{number}", number + 1
        unique[candidate] = None
    return list(unique)


def _is_frame(path: Path) -> bool:
    """Whether a path is that of an image; dot files are other systems' shadows of one."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _encode_frames(folder: Path, output: Path, fps: float) -> Path:
    """Encode a folder of frames without loss, unless that was done before."""
    if output.is_file():
        return output
    paths = sorted(filter(_is_frame, folder.iterdir()), key=natural_order)
    writer: VideoWriter | None = None
    with ExitStack() as stack:
        for path in paths:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            if image is None:
                raise InputError(f"{path}: is not a readable image; get it again, or remove its folder")
            if writer is None:
                height, width = image.shape[:2]
                rate = Fraction(fps).limit_denominator(1001)
                writer = stack.enter_context(VideoWriter(output, width=width, height=height, fps=rate))
            if image.shape[:2] != (height, width):
                raise InputError(f"{path}: has another size than the first frame of its folder; remove it")
            writer.write(image)
    return output
