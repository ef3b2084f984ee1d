"""How far a restoration moves a face's identity, to choose the threshold of `--strength auto`.

    python benchmarks/identity.py --clips FOLDER [FOLDER ...] --outputs FOLDER --output identity.json

For every video of `--clips`: windows from its beginning, middle and end are restored as `vividface enhance`
does, and the identity of each face is compared before and after (one person), and with those of the other
videos (two people; videos whose input faces count as one person's are left out). For every NAME_LQ of
`--outputs`: the same with the frames of NAME_METHOD, which another method restored, or which are the truth.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from vividface.faces.base import Face, FaceBackend
from vividface.restoration.cutting import FaceFrame
from vividface.restoration.loading import FaceRestorer, RestorerOptions, load_restorer
from vividface.restoration.paste import restore_faces
from vividface.restoration.people import People
from vividface.restoration.selection import Choice
from vividface.video import VIDEO_SUFFIXES, probe, read_clip, sample_evenly

# Frames that are compared of a window, and of a video of `--outputs`.
_LOOKS, _SAMPLES = 5, 12


class Recorder(People):
    """Embeds the face of the largest person before and after its restoration."""

    def __init__(self, backend: FaceBackend) -> None:
        super().__init__(backend, Choice(kind="largest"), is_auto=False)
        self.before: list[np.ndarray] = []
        self.after: list[np.ndarray] = []
        self._embedding = backend

    def weights(
        self, number: int, crops: np.ndarray, restored: np.ndarray, faces: Sequence[Face], *, start: int
    ) -> np.ndarray:
        """See `People.weights`."""
        picked = np.linspace(0, len(crops) - 1, _LOOKS).round().astype(int)
        some = [faces[index] for index in picked]
        self.before.append(self._embedding.embed(list(crops[picked]), some))
        self.after.append(self._embedding.embed(list(restored[picked]), some))
        return super().weights(number, crops, restored, faces, start=start)


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="folders of videos, or videos")
    parser.add_argument("--outputs", type=Path, help="folder of videos NAME_LQ and NAME_METHOD")
    parser.add_argument("--model", default="nano", help="model or checkpoint folder")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    restorer = load_restorer(RestorerOptions(model=options.model))
    videos = [
        video
        for path in options.clips
        for video in (sorted(path.iterdir()) if path.is_dir() else [path])
        if video.suffix in VIDEO_SUFFIXES
    ]
    looks = {}
    for video in videos:
        recorder = looked_at(video, restorer)
        if recorder.before:
            looks[video.stem] = (np.concatenate(recorder.before), np.concatenate(recorder.after))
            cosines = (looks[video.stem][0] * looks[video.stem][1]).sum(axis=1)
            print(f"{video.stem:50} lowest {cosines.min():.3f} median {np.median(cosines):.3f}", flush=True)
    figures = summary(looks, restorer)
    if options.outputs:
        figures["outputs"] = outputs(options.outputs, restorer)
    print(json.dumps(figures, indent=2))
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


def looked_at(video: Path, restorer: FaceRestorer) -> Recorder:
    """The identities of a video's largest face in three windows."""
    assert restorer.backend is not None
    recorder, num_frames = Recorder(restorer.backend), probe(video).num_frames
    length = min(restorer.clip_frames, num_frames)
    for start in sorted({round(float(at)) for at in np.linspace(0, num_frames - length, 3)}):
        clip = read_clip(video, start, start + length)
        faces = restorer.backend.detect(list(clip))
        recorder.enter_window(first=start, times=range(start, start + length), starts_shot=True)
        frames = [FaceFrame(*pair) for pair in zip(clip, faces, strict=True)]
        restore_faces(
            frames,
            restorer.restore,
            backend=restorer.backend,
            size=restorer.size,
            margin=0.3,
            min_face=24,
            people=recorder,
        )
    return recorder


def summary(looks: dict[str, tuple[np.ndarray, np.ndarray]], restorer: FaceRestorer) -> dict[str, object]:
    """Percentiles of the cosines of one person, before and after, and of two people."""
    assert restorer.backend is not None
    one = {name: (before * after).sum(axis=1) for name, (before, after) in looks.items()}
    two = []
    for name, (before, _) in looks.items():
        for other, (others_before, others_after) in looks.items():
            if float(np.median(before @ others_before.T)) < restorer.backend.same_person and name != other:
                two.append((before @ others_after.T).ravel())
    return {
        "same_person": restorer.backend.same_person,
        "lowest": {name: round(float(cosines.min()), 3) for name, cosines in one.items()},
        "one_person": percentiles(np.concatenate(list(one.values()))),
        "two_people": percentiles(np.concatenate(two)),
    }


def outputs(folder: Path, restorer: FaceRestorer) -> dict[str, dict[str, float]]:
    """Lowest and median cosine of evenly spaced frames of each NAME_LQ and NAME_METHOD."""
    assert restorer.backend is not None
    cosines = {}
    for degraded in sorted(folder.glob("*_LQ.*")):
        frames = list(sample_evenly(degraded, _SAMPLES))
        faces = [found[0] for found in restorer.backend.detect(frames)]
        before = restorer.backend.embed(frames, faces)
        for restored in sorted(folder.glob(f"{degraded.stem.removesuffix('LQ')}*")):
            if restored != degraded:
                after = restorer.backend.embed(list(sample_evenly(restored, _SAMPLES)), faces)
                values = (before * after).sum(axis=1)
                cosines[restored.stem] = {
                    "lowest": round(float(values.min()), 3),
                    "median": round(float(np.median(values)), 3),
                }
    return cosines


def percentiles(values: np.ndarray) -> dict[str, float]:
    """Number and percentiles of values."""
    named = {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (0, 1, 5, 50, 95, 99, 100)}
    return {"count": len(values), **named}


if __name__ == "__main__":
    main()
