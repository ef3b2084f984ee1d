"""What a browser shows of a file: the file itself if it can, else a small copy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np

from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.video import ffmpeg_executable

_SHOWN_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
# By suffix: codecs of the picture and of the sound, by FFmpeg's names.
_SHOWN_VIDEOS = {
    ".mp4": ({"h264", "av1"}, {"aac", "mp3", "opus", "flac"}),
    ".m4v": ({"h264"}, {"aac", "mp3"}),
    ".webm": ({"vp8", "vp9", "av1"}, {"vorbis", "opus"}),
}
# px, of a copy.
_LARGEST_SIDE = 1280
# s between two looks whether a copy is still wanted.
_POLL = 0.1


def is_shown(path: Path) -> bool:
    """Whether every current browser shows a readable video or image as it is."""
    suffix = path.suffix.lower()
    if suffix in _SHOWN_IMAGES:
        return True
    if suffix not in _SHOWN_VIDEOS:
        return False
    codecs, sounds = _SHOWN_VIDEOS[suffix]
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return (
            video.codec.canonical_name in codecs
            and video.codec_context.pix_fmt in {"yuv420p", "yuvj420p"}
            and all(stream.codec.canonical_name in sounds for stream in container.streams.audio)
        )


def copy_to_show(
    path: Path,
    output: Path,
    *,
    seconds: float | None = None,
    require_wanted: Callable[[], None] = lambda: None,
) -> Path:
    """Write a copy of a video that every browser shows.

    Args:
        path: path of the video.
        output: path of the copy without its suffix.
        seconds: duration of the copy; None takes all of the video.
        require_wanted: function that is called now and then, and raises where nobody wants the copy.

    Returns:
        path of the copy.

    Raises:
        InputError: it cannot be made.
    """
    output = output.with_name(f"{output.name}.mp4")
    scale = f"scale='trunc(min(1,{_LARGEST_SIDE}/max(iw*sar,ih))*iw*sar/2)*2'"
    scale += f":'trunc(min(1,{_LARGEST_SIDE}/max(iw*sar,ih))*ih/2)*2',setsar=1"
    with atomic_path(output) as temporary:
        command = [
            *(ffmpeg_executable(), "-v", "error", "-nostdin", "-i", str(path)),
            *("-map", "0:v:0", "-map", "0:a:0?", "-vf", scale, "-pix_fmt", "yuv420p"),
            *("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-c:a", "aac", "-ac", "2"),
            *(() if seconds is None else ("-t", str(seconds))),
            *("-movflags", "+faststart", str(temporary)),
        ]
        _run(command, name=path, require_wanted=require_wanted)
    return output


def _run(command: list[str], *, name: Path, require_wanted: Callable[[], None]) -> None:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                require_wanted()
                process.wait(_POLL)
            except subprocess.TimeoutExpired:
                continue
            except BaseException:
                process.kill()
                raise
    if process.returncode:
        raise InputError(f"{name}: no copy of it can be made that a browser shows")


def image_to_show(path: Path, output: Path) -> Path:
    """Write an image of 8 bits that every browser shows.

    Args:
        path: path of an image, of 8 or 16 bits.
        output: path of the copy without its suffix.

    Returns:
        path of the copy.
    """
    output = output.with_name(f"{output.name}.png")
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    with atomic_path(output) as temporary:
        cv2.imwrite(str(temporary), np.asarray(pixels))
    return output


def write_thumbnail(video: Path, output: Path, *, height: int) -> None:
    """Write a video's first frame as a small JPEG.

    Args:
        video: path of the video.
        output: path of the JPEG.
        height: height of the JPEG, px.
    """
    with av.open(str(video)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="bgr24")
    width = round(pixels.shape[1] * height / pixels.shape[0])
    with atomic_path(output) as temporary:
        cv2.imwrite(str(temporary), cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
