"""VFHQ as published: one text file per clip that says where on YouTube it is (Xie et al., CVPRW 2022)."""

from __future__ import annotations

import logging
import re
import shutil
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import yt_dlp
from tqdm import tqdm

from vividface.config.datasets import YoutubeSource
from vividface.downloads import require_network
from vividface.errors import InputError
from vividface.files import seeded_hash
from vividface.video import VideoWriter, iterate_frames, probe

logger = logging.getLogger(__name__)

_NAME = re.compile(
    r"Clip\+(?P<video>[\w-]{11})\+P(?P<person>\d+)\+C(?P<clip>\d+)\+F(?P<first>\d+)-(?P<last>\d+)"
)
_ADDRESS = "https://www.youtube.com/watch?v={video}"
# High enough to train on; lossless clips of VFHQ would need terabytes.
_CRF = 8


@dataclass(frozen=True)
class ClipMeta:
    """One clip of VFHQ.

    Attributes:
        name: name of the metadata file, the clip's id.
        video: id of the YouTube video.
        person: number of the person in the video.
        first: number of the first frame; one after that in the file's name, as VFHQ's own extraction cuts it.
        last: number of the last frame, which belongs to the clip; one before that in the file's name.
        fps: frame rate of the source video.
        height: height of the source video, px.
        width: width of the source video, px.
        box: published crop, x0, y0, x1, y1 in pixels of the source video.
    """

    name: str
    video: str
    person: int
    first: int
    last: int
    fps: float
    height: int
    width: int
    box: tuple[int, int, int, int]


def read_meta(path: Path) -> ClipMeta:
    """Read a metadata file `Clip+{video}+P{person}+C{clip}+F{first}-{last}.txt`.

    Its lines begin with `H`, `W`, `FPS` and `CROP` and end with their values; others (landmarks) are ignored.

    Raises:
        InputError: the name or the content is something else.
    """
    parts = _NAME.fullmatch(path.stem)
    if parts is None:
        raise InputError(
            f"{path}: is not named Clip+VIDEO+P0+C0+F0-100.txt, as VFHQ's metadata is; remove it"
        )
    values: dict[str, list[str]] = {}
    try:
        for line in path.read_text().splitlines():
            words = line.replace(":", " ").split()
            if words and words[0] in ("H", "W", "FPS", "CROP"):
                values[words[0]] = words[1:]
        x0, y0, x1, y1 = (int(float(value)) for value in values["CROP"][-4:])
        meta = ClipMeta(
            name=path.stem,
            video=parts["video"],
            person=int(parts["person"]),
            first=int(parts["first"]) + 1,
            last=int(parts["last"]) - 1,
            fps=float(values["FPS"][-1]),
            height=int(values["H"][-1]),
            width=int(values["W"][-1]),
            box=(x0, y0, x1, y1),
        )
    except (OSError, UnicodeDecodeError, KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path}: is no clip metadata of VFHQ ({error!r}); get the file again") from None
    inside = 0 <= x0 < x1 <= meta.width and 0 <= y0 < y1 <= meta.height
    if meta.last < meta.first or meta.fps <= 0 or not inside:
        raise InputError(f"{path}: its frames, rate or crop are impossible: {meta}; get the file again")
    return meta


def sample_clips(source: YoutubeSource, name: str, *, seed: int) -> list[ClipMeta]:
    """The clips that a dataset's metadata lists, or the sample of them that its configuration asks for.

    A clip's chance is a hash of the seed and its name: it does not depend on the other clips, and a larger
    sample holds all smaller ones.

    Args:
        source: folder of the metadata, size of the sample, and number of clips that come before it.
        name: key of the dataset in the configuration, for messages.
        seed: seed of the sample.

    Raises:
        InputError: there is no metadata, or it is damaged.
    """
    folder = source.metadata.expanduser()
    paths = sorted(folder.rglob("Clip+*.txt")) if folder.is_dir() else []
    if not paths:
        raise InputError(
            f"datasets.{name}.source.metadata: {folder} holds no Clip+*.txt; unpack VFHQ's meta_info there "
            "(docs/datasets.md)"
        )
    ordered = sorted(paths, key=lambda path: seeded_hash(seed, path.stem))[source.skip :]
    return [read_meta(path) for path in sorted(ordered[: source.sample])]


def fetch_clips(
    clips: list[ClipMeta], directory: Path, *, video_format: str, max_parallel: int
) -> dict[str, tuple[Path, str]]:
    """Download the videos and cut the clips out of them.

    Clips that exist are not cut again. A video that is no longer available does not stop the others.

    Args:
        clips: the clips, of `sample_clips`.
        directory: folder of the clips, `{name}.mp4`: the frames of the published crop, without sound.
        video_format: yt-dlp's selection of a format.
        max_parallel: number of videos downloaded at a time.

    Returns:
        by the clip's name its path, and why it could not be fetched, or an empty string.
    """
    by_video: dict[str, list[ClipMeta]] = defaultdict(list)
    for clip in clips:
        if not _path(directory, clip).is_file():
            by_video[clip.video].append(clip)
    failures: dict[str, str] = {}
    if by_video:
        require_network(f"{len(by_video)} YouTube videos")
    with ThreadPoolExecutor(max_parallel) as pool:
        pending = [pool.submit(_fetch_video, *item, directory, video_format) for item in by_video.items()]
        for future in tqdm(pending, desc="videos", unit="video"):
            failures |= future.result()
    return {clip.name: (_path(directory, clip), failures.get(clip.name, "")) for clip in clips}


def _path(directory: Path, clip: ClipMeta) -> Path:
    return directory / f"{clip.name}.mp4"


def _fetch_video(video: str, clips: list[ClipMeta], directory: Path, video_format: str) -> dict[str, str]:
    """Download one video, cut its clips and remove it.

    Returns:
        by the name of each clip that is missing the reason.
    """
    folder = directory.with_name(f"{directory.name}.sources") / video
    folder.mkdir(parents=True, exist_ok=True)
    try:
        source = _download(video, folder, video_format)
        for clip in clips:
            cut_clip(source, clip, _path(directory, clip))
    except (yt_dlp.utils.YoutubeDLError, InputError, OSError) as error:
        reason = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).removeprefix("ERROR: ").splitlines()[0]
        logger.warning("%s: %s", video, reason)
        return {clip.name: reason for clip in clips if not _path(directory, clip).is_file()}
    shutil.rmtree(folder)
    return {}


def _download(video: str, folder: Path, video_format: str) -> Path:
    """The downloaded video; a partial download is resumed."""
    options = {
        "format": video_format,
        "outtmpl": str(folder / "video.%(ext)s"),
        "continuedl": True,
        "retries": 10,
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "cachedir": False,
    }
    with yt_dlp.YoutubeDL(options) as downloader:
        downloader.download([_ADDRESS.format(video=video)])
    return next(path for path in sorted(folder.iterdir()) if path.suffix != ".part")


def cut_clip(source: Path, clip: ClipMeta, output: Path) -> None:
    """Cut a clip out of its source video, in time and to its published crop, as H.264 of high quality.

    Where the source has another frame rate or size than the metadata says, times and positions are kept.

    Args:
        source: path of the source video.
        clip: metadata of the clip.
        output: path of the clip.

    Raises:
        InputError: the source cannot be read or ends before the clip does.
    """
    info = probe(source)
    rate = float(info.fps) / clip.fps
    rate = 1.0 if abs(rate - 1) < 0.01 else rate
    start, stop = round(clip.first * rate), round((clip.last + 1) * rate)
    scale_x, scale_y = info.width / clip.width, info.height / clip.height
    x0, x1 = (round(value * scale_x) for value in clip.box[::2])
    y0, y1 = (round(value * scale_y) for value in clip.box[1::2])
    # H.264 in yuv420p has even sides.
    width, height = (x1 - x0) // 2 * 2, (y1 - y0) // 2 * 2
    with VideoWriter(
        output, width=width, height=height, fps=Fraction(info.fps), codec="h264", crf=_CRF
    ) as writer:
        for frame in iterate_frames(source, start, stop):
            writer.write(frame[y0 : y0 + height, x0 : x0 + width])
