"""How the judge `measured` ranks videos of faces, as they are and degraded at three strengths.

    python benchmarks/measured_judge.py sharp=FOLDER degraded=FOLDER --output scores.csv --sheet scores.png

Of each video the first clip that the workflow would plan is judged, at 512 x 512. The sheet shows a frame of
each with its score and its points, in the order of the scores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from vividface.config import Config, load_config
from vividface.config.datasets import FolderSource
from vividface.data.extraction import extract_clips
from vividface.data.planning import plan_clips
from vividface.data.shots import find_shots
from vividface.data.sources import fetch_dataset
from vividface.faces.masks import write_masks
from vividface.filtering.measured import judge_quality
from vividface.filtering.rubric import Rubric, load_rubric
from vividface.filtering.visual_quality import assess
from vividface.video import read_clip, read_masks, write_clip

# Blur (px), down-scaling, noise (of 255) and H.264's rate factor of each strength.
STRENGTHS = [(0.8, 1.5, 2, 24), (1.5, 2, 4, 30), (3, 4, 8, 36)]
FRAMES, STEP, COLUMNS, TILE = 33, 6, 8, 230


def degrade(frames: np.ndarray, strength: int, folder: Path) -> np.ndarray:
    """Blurred, made smaller and larger again, made noisy, compressed."""
    if strength == 0:
        return frames
    sigma, scale, noise, crf = STRENGTHS[strength - 1]
    height, width = frames.shape[1:3]
    small = [
        cv2.resize(
            cv2.GaussianBlur(f, (0, 0), sigma), None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA
        )
        for f in frames
    ]
    large = np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in small])
    noisy = np.clip(large + np.random.default_rng(1).normal(0, noise, large.shape), 0, 255).astype(np.uint8)
    path = folder / f"{strength}.mp4"
    options: dict[str, str | int] = {"vcodec": "libx264", "pix_fmt": "yuv420p", "crf": crf, "threads": 1}
    write_clip(path, noisy, 25, options=options)
    return read_clip(path)


def first_clips(name: str, videos: Path, config: Config, folder: Path) -> pd.DataFrame:
    """One clip of each video, with its landmarks and masks."""
    source = FolderSource(kind="folder", path=videos)
    table = fetch_dataset(name, source, directory=folder, locks=folder / "locks")
    shots = find_shots(table, config.clips.cut_threshold)
    plan = plan_clips(table, shots, num_frames=config.clips.num_frames, num_shards=1)
    plan = plan[plan["rejection"] == ""].groupby("video_id").head(1)
    hq_dir, faces_file = folder / "hq", folder / "faces.safetensors"
    clips = extract_clips(plan, config.clips, faces_config=config.faces, hq_dir=hq_dir, faces_file=faces_file)
    kept = clips[clips["kept"]]
    write_masks(kept, config.faces, hq_dir=hq_dir, faces_file=faces_file, mask_dir=folder / "masks")
    return kept


def judge(clip: Mapping[Any, Any], name: str, folder: Path, rubric: Rubric) -> list[dict[str, Any]]:
    """The scores of a clip at every strength."""
    faces = load_file(folder / "faces.safetensors")
    frames, masks = (
        read(folder / kind / f"{clip['clip_id']}.mkv")[::STEP]
        for kind, read in (("hq", read_clip), ("masks", read_masks))
    )
    landmarks, found = (faces[f"{clip['clip_id']}.{part}"][::STEP] for part in ("landmarks", "found"))
    rows = []
    for strength in range(len(STRENGTHS) + 1):
        with tempfile.TemporaryDirectory() as temporary:
            degraded = degrade(frames, strength, Path(temporary))
        quality = assess(
            degraded,
            masks,
            landmarks=landmarks,
            found=found,
            block=8 * frames.shape[1] / clip["crop_size"],
        )
        points, applied = judge_quality(quality, rubric)
        row = {
            "folder": name,
            "video": clip["video_id"],
            "strength": strength,
            "score": rubric.total(points, applied)[2],
            **points,
            "adjustments": " ".join(applied),
        }
        rows.append(row | {measured: round(value, 4) for measured, value in vars(quality).items()})
    return rows


def tile(frame: np.ndarray, row: pd.Series, rubric: Rubric) -> np.ndarray:
    picture = cv2.resize(frame, (TILE, TILE), interpolation=cv2.INTER_AREA)
    picture = cv2.copyMakeBorder(picture, 36, 0, 2, 2, cv2.BORDER_CONSTANT)
    points = " ".join(f"{row[name]:g}" for name in rubric.criteria)
    for line, text in enumerate((f"{row['folder']} {row['video'][:24]}", f"{row['score']:g}: {points}")):
        cv2.putText(picture, text, (3, 13 + 17 * line), 0, 0.4, (255, 255, 255), 1)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER", help="videos, and what to call them")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    rubric = load_rubric("face90")
    config = load_config(Path(__file__).parents[1] / "config.yaml")
    config = config.model_copy(
        update={
            "faces": config.faces.model_copy(update={"backend": "dlib"}),
            "clips": config.clips.model_copy(
                update={"num_frames": FRAMES, "min_face": 48, "max_padding_share": 0.5}
            ),
        }
    )
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(arguments.threads) as pool:
        jobs, pictures = [], {}
        for pair in arguments.folders:
            name, _, videos = pair.partition("=")
            folder = Path(temporary) / name
            for clip in first_clips(name, Path(videos), config, folder).to_dict("records"):
                jobs.append(pool.submit(judge, clip, name, folder, rubric))
                if arguments.sheet:
                    frames = read_clip(folder / "hq" / f"{clip['clip_id']}.mkv", 8, 9)
                    pictures[name, clip["video_id"]] = frames[0]
        table = pd.DataFrame([row for job in jobs for row in job.result()])
    table = table.sort_values(["strength", "score"], ascending=[True, False], kind="stable")
    table.to_csv(arguments.output, index=False)
    whole = table[table["strength"] == 0]
    print(whole[["folder", "video", "score", *rubric.criteria]].to_string(index=False))
    print(table.pivot_table(index="folder", columns="strength", values="score").round(1).to_string())
    rises = table.sort_values("strength").groupby(["folder", "video"])["score"].diff()
    print(f"{(rises > 0).sum()} of {rises.notna().sum()} steps raise a score, by {rises.max():g} at most")
    if arguments.sheet:
        tiles = [tile(pictures[row["folder"], row["video"]], row, rubric) for _, row in whole.iterrows()]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
        rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
        cv2.imwrite(str(arguments.sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
