"""Speed of degradation and of face extraction, against the plain way to do either, in one run.

    python benchmarks/data.py --threads 2 --output data.json

The plain way works on one clip after the other and one frame after the other, with OpenCV, NumPy and one
ffmpeg process per file that is written, which may use all cores. Its degraded clips are resized back and
stored without loss. Rounds alternate; ratios are of the medians, of the time that passed and of the CPU's.
Degradation works on textured clips of 512 x 512 that are made here; extraction on a video of a face (the
demo's, or --video).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import cv2
import dlib
import numpy as np
import pandas as pd

from vividface.config import Config, load_config
from vividface.data.degradation import DegradationParameters, degrade_shard, draw_parameters
from vividface.data.extraction import extract_clips
from vividface.data.planning import plan_clips
from vividface.data.shots import find_shots
from vividface.data.sources import fetch_dataset
from vividface.devices import peak_memory_mb
from vividface.faces.dlib import DlibBackend
from vividface.video import ffmpeg_executable, probe, write_clip

ROOT = Path(__file__).parents[1]


def textured_clip(path: Path, frames: int, size: int, seed: int) -> None:
    """A texture that moves, with detail at every scale."""
    generator = np.random.default_rng(seed)
    side = size + frames
    layers = [
        cv2.resize(generator.normal(0, 40, (side // cell, side // cell, 3)), (side, side))
        for cell in (2, 8, 64)
    ]
    texture = np.clip(sum(layers) + 128, 0, 255).astype(np.uint8)
    write_clip(
        path, np.stack([texture[i : i + size, i : i + size] for i in range(frames)]), 25, codec="utvideo"
    )


def plain_writer(path: Path, width: int, height: int, options: list[str]) -> subprocess.Popen:
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", "25", "-i", "pipe:"]
    command = [ffmpeg_executable(), "-y", "-v", "error", *raw, *options, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def pipe(writer: subprocess.Popen) -> IO[bytes]:
    assert writer.stdin is not None
    return writer.stdin


def plain_frames(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    frames: list[np.ndarray] = []
    while True:
        good, frame = video.read()
        if not good:
            return frames
        frames.append(frame)


def plain_degrade(source: Path, output: Path, parameters: DegradationParameters) -> None:
    frames = plain_frames(source)
    height, width = frames[0].shape[:2]
    small_width, small_height = (2 * round(side / parameters.scale / 2) for side in (width, height))
    middle = output.with_suffix(".mp4")
    writer = plain_writer(middle, small_width, small_height, ["-c:v", "libx264", "-crf", str(parameters.crf)])
    for frame in frames:
        blurred = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), parameters.sigma)
        small = cv2.resize(blurred, (small_width, small_height), interpolation=cv2.INTER_AREA)
        noisy = small + np.random.normal(0, parameters.noise or 0, small.shape)
        pipe(writer).write(np.clip(np.rint(noisy), 0, 255).astype(np.uint8).tobytes())
    writer.communicate()
    writer = plain_writer(output, width, height, ["-c:v", "ffv1"])
    for frame in plain_frames(middle):
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
        pipe(writer).write(resized.tobytes())
    writer.communicate()


def plain_extract(video: Path, output: Path, *, length: int, size: int, margin: float) -> int:
    detector = dlib.get_frontal_face_detector()
    backend = DlibBackend(640)
    frames = plain_frames(video)
    done = 0
    for start in range(0, len(frames) - length + 1, length):
        clip = frames[start : start + length]
        boxes = []
        for frame in clip:
            image, scale = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), backend.search_factor(*frame.shape[:2])
            image = cv2.resize(image, None, fx=scale, fy=scale)
            for box in list(detector(image, 0))[:1]:
                backend._predictor(image, box)
                boxes.append(np.array([box.left(), box.top(), box.right(), box.bottom()]) / scale)
        low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
        side = int((high - low).max() * (1 + margin))
        x, y = (max(int(value), 0) for value in (low + high - side) / 2)
        writer = plain_writer(output / f"{start}.mkv", size, size, ["-c:v", "ffv1"])
        for frame in clip:
            pipe(writer).write(cv2.resize(frame[y : y + side, x : x + side], (size, size)).tobytes())
        writer.communicate()
        done += length
    return done


def compare(
    name: str, *, frames: int, ours: Callable[[], object], plain: Callable[[], object], rounds: int
) -> dict[str, object]:
    """Alternate, after one round to warm up; prints and returns frames per second and the ratio."""
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    cpu: dict[str, list[float]] = {"ours": [], "plain": []}
    for turn in range(rounds + 1):
        for label, function in (("ours", ours), ("plain", plain)):
            started, used = time.perf_counter(), _cpu_seconds()
            function()
            if turn:
                times[label].append(time.perf_counter() - started)
                cpu[label].append(_cpu_seconds() - used)
    rates = {label: frames / statistics.median(seconds) for label, seconds in times.items()}
    costs = {label: statistics.median(seconds) / frames for label, seconds in cpu.items()}
    ratio, cpu_ratio = rates["ours"] / rates["plain"], costs["plain"] / costs["ours"]
    print(
        f"{name}: {rates['ours']:.1f} frames/s, plain {rates['plain']:.1f} frames/s, ratio {ratio:.2f}; CPU "
        f"{1e3 * costs['ours']:.1f} ms a frame, plain {1e3 * costs['plain']:.1f} ms, ratio {cpu_ratio:.2f}"
    )
    return {"frames_per_second": rates, "ratio": ratio, "seconds": times, "cpu_ratio": cpu_ratio, "cpu": cpu}


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


def degradation(config: Config, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    clips = pd.DataFrame({"clip_id": [f"c{index}" for index in range(options.clips)]})
    for index, clip in enumerate(clips["clip_id"]):
        textured_clip(folder / "hq" / f"{clip}.mkv", options.frames, 512, index)
    settings = config.degradation
    drawn = {
        (clip, draw): draw_parameters(settings, seed=0, clip_id=clip, draw=draw)
        for clip in clips["clip_id"]
        for draw in range(options.draws)
    }

    def ours() -> None:
        degrade_shard(
            clips,
            settings,
            seed=0,
            hq_dir=folder / "hq",
            lq_dir=folder / "lq",
            num_draws=options.draws,
            threads=options.threads,
        )

    def plain() -> None:
        for (clip, draw), parameters in drawn.items():
            plain_degrade(folder / "hq" / f"{clip}.mkv", folder / f"{clip}-{draw}.mkv", parameters)

    frames = len(drawn) * options.frames
    return compare("degradation", frames=frames, ours=ours, plain=plain, rounds=options.rounds)


def extraction(config: Config, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    demo = load_config(ROOT / "config.yaml", ROOT / "configs" / "demo.yaml")
    source = demo.datasets["demo_train"].source
    videos = fetch_dataset("demo_train", source, directory=folder).iloc[3:4]
    if options.video:
        videos = pd.DataFrame([{"video_id": "v", "path": str(options.video), "person": "v"}])
    path = Path(videos["path"].iloc[0])
    length = 17
    clips = config.clips.model_copy(update={"num_frames": length, "min_face": 16})
    plan = plan_clips(videos, find_shots(videos, None), num_frames=length, num_shards=1)

    def ours() -> None:
        extract_clips(
            plan,
            clips,
            faces_config=demo.faces,
            hq_dir=folder / "crops",
            faces_file=folder / "faces.safetensors",
            threads=options.threads,
        )

    def plain() -> None:
        plain_extract(path, folder, length=length, size=clips.size, margin=clips.margin)

    frames = probe(path).num_frames // length * length
    return compare("face extraction", frames=frames, ours=ours, plain=plain, rounds=options.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--draws", type=int, default=1, help="degradations of each clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    config = load_config(ROOT / "config.yaml")
    with tempfile.TemporaryDirectory() as directory:
        results = {
            "threads": options.threads,
            "degradation": degradation(config, options, Path(directory) / "degradation"),
            "extraction": extraction(config, options, Path(directory) / "extraction"),
        }
    results["peak_memory_mb"] = peak_memory_mb("cpu")
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
