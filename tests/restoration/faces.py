"""Real faces for tests: clips of two people, their backend, and people side by side."""

from functools import cache

import cv2
import numpy as np

from vividface.config import EnhanceConfig, FacesConfig
from vividface.faces.load import load_backend
from vividface.restoration.enhance import enhance
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source
from vividface.video import read_clip, write_clip

# px, width and height of one person's picture.
WIDTH, HEIGHT = 320, 180
CONFIG = EnhanceConfig(window=9, overlap=2, cut_threshold=None)


@cache
def backend():
    return load_backend(FacesConfig.of_backend("mediapipe"))


def shrunk(video, count, start=0):
    """Frames (F, 180, 320, 3) of a clip of 640 x 360."""
    return read_clip(video, start, start + count, size=(WIDTH, HEIGHT))


def beside(*clips):
    """Clips next to each other."""
    return np.concatenate(clips, axis=2)


def written(path, frames):
    write_clip(path, frames, 25)
    return path


def darken(crops):
    return crops - np.minimum(crops, 60)


def run(source, output, restore=darken, *, config=CONFIG, size=128, **options):
    """Enhance with real faces and a function in place of a model."""
    restorer = FaceRestorer(
        restore=restore, size=size, clip_frames=9, backend=backend(), fingerprint={}, description=""
    )
    return enhance(open_source(source), output, restorer=restorer, config=config, **options)


def changed(before, after):
    """By how much each person's picture of each frame was darkened around the middle, (F, people)."""
    difference = (before.astype(int) - after).mean(axis=3)
    parts = np.split(difference, before.shape[2] // WIDTH, axis=2)
    return np.stack([np.percentile(part, 97, axis=(1, 2)) for part in parts], axis=1)


def other_face(frame, size=128):
    """The crop of a face (size, size, 3) as `restore_faces` cuts it, about."""
    box = backend().detect([frame])[0][0].box
    side = 1.75 * float((box[2:] - box[:2]).max())
    x, y = (box[:2] + box[2:]) / 2 - side / 2 - np.array([0, 0.08 * side])
    x, y, side = round(max(float(x), 0)), round(max(float(y), 0)), round(side)
    return cv2.resize(frame[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)
