"""What a visitor gives: looked at before it is used, whatever its name claims."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import cv2

from vividface.errors import InputError
from vividface.restoration.opening import open_source
from vividface.restoration.reading import Source
from vividface.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES

# FFmpeg's demuxers of files that hold a video. Playlists are not among them: they name other files.
_VIDEO_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,flv,asf,dv,mxf,ogg,rm,wtv"
)
# The suffix of a video whose name has none that is known, by its format.
_SUFFIXES = {"matroska": ".mkv", "avi": ".avi", "mpeg": ".mpg", "mpegts": ".ts", "flv": ".flv", "asf": ".wmv"}
_LONGEST_STEM = 80


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A video or an image that a visitor gave.

    Attributes:
        path: path of the file, whose name is the server's own.
        name: name that the visitor knows it by; for people, never for a path.
        source: the opened file.
        is_video: whether it is a video; else it is an image.
    """

    path: Path
    name: str
    source: Source
    is_video: bool


def accept_upload(file: Path, folder: Path, *, name: str, keep: bool = False) -> Upload:
    """Take a file over into a folder, and open it.

    Args:
        file: path of the file.
        folder: folder that it is moved to.
        name: name that the visitor gave it.
        keep: whether it stays where it is, and the folder gets a link to it.

    Raises:
        InputError: it is neither a video nor an image that can be read; the folder does not hold it then.
    """
    name = Path(name.replace("\\", "/")).name or "file"
    if not file.is_file():
        raise InputError(f"{name}: is not here any more; give it again")
    suffix = Path(name).suffix.lower()
    is_video = not cv2.haveImageReader(str(file))
    known = VIDEO_SUFFIXES if is_video else IMAGE_SUFFIXES
    path = folder / f"input{suffix if suffix in known else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    if keep:
        path.symlink_to(file.resolve())
    else:
        shutil.move(file, path)
        with suppress(OSError):
            file.parent.rmdir()
    try:
        if is_video:
            path = _with_suffix(path, _video_format(path))
        elif suffix not in known:
            path = path.rename(path.with_suffix(".png"))
        return Upload(path=path, name=name, source=open_source(path), is_video=is_video)
    except InputError as error:
        path.unlink()
        raise InputError(readable(error, path=path, name=name)) from None


def result_name(name: str, *, suffix: str) -> str:
    """The name under which a result is downloaded: letters and digits of the input's, and what it is.

    Args:
        name: name of the input.
        suffix: suffix of the result.
    """
    stem = re.sub(r"[^\w\- ]+", "_", Path(name).stem)[:_LONGEST_STEM].strip("_ ")
    return f"{stem or 'video'}_enhanced{suffix}"


def readable(error: InputError, *, path: Path, name: str) -> str:
    """An error's sentence with the visitor's name of the file, and without options of the command line.

    Args:
        error: error of the library.
        path: path of the visitor's file.
        name: name of the file.
    """
    message = str(error).replace(str(path), name)
    said, _, hint = message.partition("; ")
    return said if not hint or "--" in hint else message


def _video_format(path: Path) -> str:
    """The name of a video's format."""
    options = {"format_whitelist": _VIDEO_FORMATS, "protocol_whitelist": "file"}
    try:
        with av.open(str(path), options=options) as container:
            return container.format.name.partition(",")[0]
    except (av.FFmpegError, OSError):
        raise InputError(f"{path}: is neither a video nor a picture that can be read; is it whole?") from None


def _with_suffix(path: Path, name: str) -> Path:
    return path if path.suffix else path.rename(path.with_suffix(_SUFFIXES.get(name, ".mp4")))
