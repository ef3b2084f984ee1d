"""CPU seconds of a step of the workflow in this source tree, and in another one by turns.

    git worktree add ../before main
    python benchmarks/before_after.py degradation --before ../before
    python benchmarks/before_after.py training --before ../before

Each round measures either tree in a process of its own, with one thread; ratios are of the medians. CPU time
of the process and of those it starts (ffmpeg) is added up: other programs on the machine matter little.
Without `--clips` the demo's video of a face is taken; without `--before` this tree alone is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
SIDE = 512


class Clock:
    """CPU seconds of this process and of its children that have ended, by name, per item."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str, items: int) -> Iterator[None]:
        """Add a figure: the CPU seconds of what runs in the context, divided by its items."""
        started = _cpu_seconds()
        yield
        self.figures[name] = (_cpu_seconds() - started) / items


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def degradation(options: argparse.Namespace, clock: Clock, folder: Path) -> None:
    """A frame of 512 x 512 and one draw, of clips with one and with six draws."""
    import cv2

    from vividface.config import load_config
    from vividface.data.degradation import degrade_shard
    from vividface.video import iterate_frames, write_clip

    config = load_config(ROOT / "config.yaml").degradation
    for number, video in enumerate(options.clips):
        frames = [cv2.resize(f, (SIDE, SIDE)) for f in islice(iterate_frames(video), options.frames)]
        write_clip(folder / "hq" / f"{number}.mkv", np.stack(frames), 25)
    clips = pd.DataFrame({"clip_id": [str(number) for number in range(len(options.clips))]})
    for num_draws in (1, 6):
        items = len(clips) * options.frames * num_draws
        with clock.measure(f"degradation, {num_draws} draws", items):
            degrade_shard(
                clips,
                config,
                seed=0,
                hq_dir=folder / "hq",
                lq_dir=folder / f"lq{num_draws}",
                num_draws=num_draws,
            )


def extraction(options: argparse.Namespace, clock: Clock, folder: Path) -> None:
    """A frame of clips of 17 frames whose face is cropped by the demo's backend, which is loaded before."""
    from vividface.config import load_config
    from vividface.data import extraction
    from vividface.data.planning import plan_clips
    from vividface.data.shots import find_shots
    from vividface.faces.load import load_backend

    faces = load_config(ROOT / "config.yaml", ROOT / "configs" / "demo.yaml").faces
    clips = load_config(ROOT / "config.yaml").clips.model_copy(update={"num_frames": 17, "min_face": 16})
    backend = load_backend(faces)
    for video in options.clips:
        videos = pd.DataFrame([{"video_id": "v", "path": str(video), "person": "v"}])
        plan = plan_clips(videos, find_shots(videos, None), num_frames=17, num_shards=1)
        with (
            patch.object(extraction, "load_backend", return_value=backend),
            clock.measure(f"extraction, {video.stem}", 17 * len(plan)),
        ):
            extraction.extract_clips(
                plan,
                clips,
                faces_config=faces,
                hq_dir=folder / "crops",
                faces_file=folder / "faces.safetensors",
            )


def training(options: argparse.Namespace, clock: Clock, folder: Path) -> None:
    """A sample of the latent stage of `configs/nano.yaml`, of latents of noise, with and without bfloat16."""
    import torch
    from accelerate.state import AcceleratorState
    from safetensors.torch import save_file

    from vividface.config import load_config
    from vividface.data.latents import LatentClips
    from vividface.models.presets import random_model
    from vividface.training.job import TrainingPaths
    from vividface.training.stages import LatentStage
    from vividface.training.trainer import Trainer

    torch.set_num_threads(1)
    configs = (ROOT / "configs" / name for name in ("demo.yaml", "nano.yaml"))
    stage_config = load_config(ROOT / "config.yaml", *configs).latent_stage
    transformer, autoencoder = random_model("nano")
    latents = torch.randn(2, 768, 5, 32, 32).half()
    tensors = {"0.hq": latents[0], "0.lq": latents[1], "0.mask": torch.ones(5, 32, 32, dtype=torch.uint8)}
    shard = folder / "noise" / "latents" / "0000.safetensors"
    shard.parent.mkdir(parents=True)
    save_file(tensors, shard, {"autoencoder": autoencoder.fingerprint})
    clips = LatentClips([shard], autoencoder, num_frames=17)
    for precision in ("bf16", "no"):
        config = stage_config.model_copy(update={"num_workers": 0, "precision": precision})
        stage = LatentStage(
            clips, selected=None, validation=None, autoencoder=autoencoder, config=config, p=0.5, seed=0
        )
        paths = TrainingPaths(**{name: folder / name for name in TrainingPaths.__dataclass_fields__})
        AcceleratorState._reset_state(reset_partial_state=True)
        transformer.requires_grad_(requires_grad=True)
        trainer = Trainer(transformer, stage, config=config, paths=paths, seed=0, settings={})
        batches = islice(trainer._batches(), options.steps + 1)
        trainer._advance(next(batches))
        with clock.measure(f"latent stage, precision {precision}", options.steps * config.batch_size):
            for batch in batches:
                trainer._advance(batch)


def enhancement(options: argparse.Namespace, clock: Clock, folder: Path) -> None:
    """A frame of `vividface enhance`, file to file, by `nano` in either type; loading it is included."""
    import torch

    from vividface.cli.main import main as vividface
    from vividface.video import iterate_frames, write_clip

    torch.set_num_threads(1)
    for video in options.clips:
        frames = np.stack(list(islice(iterate_frames(video), options.frames)))
        write_clip(folder / f"{video.stem}.mkv", frames, 25)
    for precision in ("fp32", "bf16"):
        arguments = ["--mode", "full", "--device", "cpu", "--dtype", precision, "--overwrite"]
        for video in options.clips:
            source = folder / f"{video.stem}.mkv"
            command = ["enhance", str(source), "-o", str(folder / "new.mp4"), *arguments]
            vividface(command)
            with clock.measure(f"enhance, {precision}, {video.stem}", options.frames):
                vividface(command)


TASKS: dict[str, Callable[[argparse.Namespace, Clock, Path], None]] = {
    "degradation": degradation,
    "extraction": extraction,
    "training": training,
    "enhancement": enhancement,
}


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--clips", type=Path, nargs="+", help="videos of a face, or folders of them")
    parser.add_argument("--frames", type=int, default=40, help="frames of each video, at most")
    parser.add_argument("--steps", type=int, default=3, help="steps of the training")
    parser.add_argument("--before", type=Path, help="source tree to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.clips = _videos(options.clips)
    if options.once:
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            TASKS[options.task](options, clock, Path(folder))
        print(json.dumps(clock.figures))
        return
    trees = {"after": ROOT} | ({"before": options.before} if options.before else {})
    runs: dict[str, list[dict[str, float]]] = {label: [] for label in trees}
    for _ in range(options.rounds):
        for label, tree in trees.items():
            runs[label].append(_run(options, tree))
    medians = {
        label: {name: statistics.median(run[name] for run in rounds) for name in rounds[0]}
        for label, rounds in runs.items()
    }
    for name, after in medians["after"].items():
        print(f"{name}: {1e3 * after:.2f} ms", end="")
        if options.before:
            before = medians["before"][name]
            print(f", before {1e3 * before:.2f} ms, {before / after:.2f} times as fast", end="")
        print()
    if options.output:
        options.output.write_text(json.dumps({"medians": medians, "runs": runs}, indent=2) + "\n")


def _run(options: argparse.Namespace, tree: Path) -> dict[str, float]:
    """The figures of a task, measured in a process that imports a source tree."""
    numbers = ["--frames", str(options.frames), "--steps", str(options.steps)]
    command = [sys.executable, __file__, options.task, "--once", *numbers, "--clips"]
    environment = os.environ | {"PYTHONPATH": str(tree.resolve()), "OMP_NUM_THREADS": "1"}
    clips = [str(clip) for clip in options.clips]
    done = subprocess.run([*command, *clips], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _videos(paths: list[Path] | None) -> list[Path]:
    """The videos of files and folders, or the demo's of a face."""
    from vividface.config import load_config
    from vividface.data.sources import fetch_dataset
    from vividface.video import is_video

    if paths:
        return [v for p in paths for v in (sorted(filter(is_video, p.iterdir())) if p.is_dir() else [p])]
    demo = load_config(ROOT / "config.yaml", ROOT / "configs" / "demo.yaml")
    with tempfile.TemporaryDirectory() as folder:
        videos = fetch_dataset("demo_train", demo.datasets["demo_train"].source, directory=Path(folder))
    return [Path(path) for path in videos["path"].iloc[3:4]]


if __name__ == "__main__":
    main()
