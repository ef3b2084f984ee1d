"""Enhancing all videos of a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vividface.config import EnhanceConfig
from vividface.errors import InputError, describe
from vividface.restoration.encoders import CONTAINERS
from vividface.restoration.enhance import EnhanceResult, enhance
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source
from vividface.restoration.reading import WHOLE, Deinterlacing, Excerpt


@dataclass(frozen=True)
class Outcome:
    """The outcome of one video of a folder.

    Attributes:
        source: path of the video.
        result: result of the enhancement, or None.
        error: reason why the video was not enhanced, or empty.
        skipped: whether the result existed already.
    """

    source: Path
    result: EnhanceResult | None = None
    error: str = ""
    skipped: bool = False


def enhance_folder(
    videos: Sequence[Path],
    output: Path,
    *,
    restorer: FaceRestorer,
    config: EnhanceConfig,
    compare: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = False,
    deinterlacing: Deinterlacing = "auto",
    excerpt: Excerpt = WHOLE,
    require_free: Callable[[Path], None] = lambda _: None,
    report: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Enhance videos one after the other; one that cannot be enhanced does not stop the others.

    Args:
        videos: files to enhance.
        output: folder of the results, which have the videos' names; a container that H.264 or any time stamp
            does not fit into becomes .mp4.
        restorer: loaded model and face backend.
        config: windows, cuts, faces and colours.
        compare: folder of videos with input and result side by side; None writes none.
        overwrite: whether existing results may be replaced, and interrupted runs discarded.
        resume: whether videos whose result exists are skipped, and interrupted runs resumed.
        progress: whether progress bars are shown.
        deinterlacing: `on`, `off`, or `auto`: where a video's frames are tagged as interlaced.
        excerpt: part of each video that is enhanced.
        require_free: function that is called with a result's path before anything of it is restored, and
            raises `InputError` where something is in its way.
        report: function that is called with each outcome as soon as it is known.

    Raises:
        InputError: two results would have the same name.
    """
    results = result_paths(videos, output)
    if len(set(results)) < len(results):
        raise InputError(f"{videos[0].parent}: two videos differ in nothing but their suffix; rename one")
    outcomes = []
    for video, result in zip(videos, results, strict=True):
        if resume and result.exists():
            outcome = Outcome(video, skipped=True)
        else:
            try:
                require_free(result)
                enhanced = enhance(
                    open_source(video, deinterlacing=deinterlacing, excerpt=excerpt),
                    result,
                    restorer=restorer,
                    config=config,
                    compare=None if compare is None else compare / result.name,
                    overwrite=overwrite,
                    resume=resume,
                    progress=progress,
                )
                outcome = Outcome(video, enhanced)
            except InputError as error:
                outcome = Outcome(video, error=str(error))
            except Exception as error:
                # Whatever is wrong with one video, the night's others are not to suffer for it.
                outcome = Outcome(video, error=f"{video}: {describe(error)}")
        outcomes.append(outcome)
        report(outcome)
    return outcomes


def result_paths(videos: Sequence[Path], output: Path) -> list[Path]:
    """The paths of the videos' results.

    Args:
        videos: files to enhance.
        output: folder of the results.
    """
    return [
        output / (video.name if video.suffix.lower() in CONTAINERS else f"{video.stem}.mp4")
        for video in videos
    ]
