"""A benchmark's results that somebody else made, taken over as a method's."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from vividface.errors import InputError
from vividface.evaluation.alignment import aligned
from vividface.evaluation.footage import Footage, find_footage
from vividface.evaluation.runs import Run
from vividface.files import atomic_path
from vividface.video import probe, write_clip


def import_results(method: str, folder: Path, *, clips: pd.DataFrame, output: Path) -> None:
    """Write results of others to `output/{clip}.mkv`, without loss, and `output/run.json` without a time.

    Args:
        method: name of the method.
        folder: videos, or folders of frames, named after the clips or, where a video is one clip, the videos.
        clips: one row per clip: `clip_id`, `video_id`, and the path `hq` of what it is compared with.
        output: folder of the results, written atomically.

    Raises:
        InputError: a clip has no result, or one of another size, length or place in time.
    """
    results = find_footage(folder)
    num_clips = clips["video_id"].value_counts()
    num_frames: dict[str, int] = {}
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for row in tqdm(clips.to_dict("records"), desc=method, unit="clip"):
            clip, hq = row["clip_id"], Footage(Path(row["hq"]))
            names = [clip, row["video_id"]] if num_clips[row["video_id"]] == 1 else [clip]
            found = next((results[name] for name in names if name in results), None)
            if found is None:
                raise InputError(
                    f"{folder}: holds no video and no folder of frames named {' or '.join(names)}, which the "
                    f"clip {clip} needs; add it, or take the folder from evaluation.methods.{method}"
                )
            frames, _ = aligned(clip, found.read(), hq.read(), paths=(found, hq))
            num_frames[clip] = len(frames)
            write_clip(temporary / f"{clip}.mkv", frames, probe(hq.path).fps)
        Run(method=method, num_frames=num_frames).write(temporary)
