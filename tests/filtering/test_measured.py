"""The judge `measured`: degrading a clip more never raises its score."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from vividface.config import load_config
from vividface.faces.crops import crop_frame, face_box, unified_crop
from vividface.faces.dlib import outline_mask
from vividface.faces.landmarks import five_points, ibug
from vividface.filtering.measured import ANCHORS, judge_quality
from vividface.filtering.visual_quality import assess
from vividface.video import read_clip, write_clip

KINDS = ("blur", "noise", "downscale", "crf", "darken", "cover", "motion", "flicker")


@pytest.fixture(scope="module")
def face(face_video, repository):
    """A real clip of the demo: five crops of 128 px, and their landmarks."""
    from vividface.faces.load import load_backend

    config = load_config(repository / "config.yaml", repository / "configs" / "demo.yaml")
    return cropped(read_clip(face_video, 0, 17)[::4], load_backend(config.faces), 128)


def cropped(frames, backend, size):
    """Crops around a video's one face, and their landmarks."""
    faces = [faces_of_frame[0] for faces_of_frame in backend.detect(list(frames))]
    landmarks = np.stack([one.landmarks for one in faces])
    boxes = face_box(np.stack([one.box for one in faces]), landmarks)
    height, width = frames.shape[1:3]
    box = unified_crop(boxes, frame_height=height, frame_width=width, margin=0.3)
    return np.stack([crop_frame(f, box, size) for f in frames]), box.to_crop(landmarks, size)


def compress(frames, crf, folder):
    path = folder / f"{crf}.mp4"
    options = {"vcodec": "libx264", "pix_fmt": "yuv420p", "crf": crf, "threads": 1}
    write_clip(path, frames, 25, options=options)
    return read_clip(path)


def degrade(frames, landmarks, kind, step, folder):
    """A clip degraded by 1 to 4 steps."""
    if kind == "blur":
        return np.stack([cv2.GaussianBlur(f, (0, 0), (0.6, 1, 2, 4)[step]) for f in frames])
    if kind == "noise":
        noise = np.random.default_rng(1).normal(0, (2, 5, 10, 20)[step], frames.shape)
        return np.clip(frames + noise, 0, 255).astype(np.uint8)
    if kind == "downscale":
        side = 128 // (2, 3, 4, 6)[step]
        small = [cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in frames]
        return np.stack([cv2.resize(f, (128, 128), interpolation=cv2.INTER_CUBIC) for f in small])
    if kind == "crf":
        return compress(frames, (28, 34, 40, 46)[step], folder)
    if kind == "darken":
        return (frames * (0.6, 0.4, 0.25, 0.12)[step]).astype(np.uint8)
    if kind == "cover":
        covered = frames.copy()
        for frame, points in zip(covered, landmarks, strict=True):
            low, high = points.min(axis=0), points.max(axis=0)
            half = (high - low) * (0.15, 0.2, 0.28, 0.4)[step]
            x0, y0, x1, y1 = np.clip(np.r_[(low + high) / 2 - half, (low + high) / 2 + half], 0, 127).astype(
                int
            )
            frame[y0:y1, x0:x1] = (60, 90, 140)
        return covered
    kernel = np.full((1, (3, 5, 9, 15)[step]), 1 / (3, 5, 9, 15)[step], np.float32)
    blurred = np.stack([cv2.filter2D(f, -1, kernel) for f in frames])
    if kind == "flicker":
        blurred[::2] = frames[::2]
    return blurred


def score(frames, landmarks, rubric, *, of_judge=None):
    """Final score and points; `of_judge` are the landmarks that the judge has, all of them if None."""
    height, width = frames.shape[1:3]
    masks = np.stack([outline_mask(ibug(points), height=height, width=width) for points in landmarks])
    of_judge = landmarks if of_judge is None else of_judge
    quality = assess(frames, masks, landmarks=of_judge, found=np.ones(len(frames), np.uint8))
    points, applied = judge_quality(quality, rubric)
    return rubric.total(points, applied)[2], points


@pytest.mark.parametrize("kind", KINDS)
def test_more_of_a_fault_never_raises_the_score(face, rubric, kind, tmp_path):
    frames, landmarks = face
    scores = [score(frames, landmarks, rubric)[0]]
    scores += [score(degrade(frames, landmarks, kind, s, tmp_path), landmarks, rubric)[0] for s in range(4)]
    assert all(after <= before for before, after in pairwise(scores)), scores
    assert scores[-1] < scores[0] - 4, scores


@pytest.mark.parametrize(
    ("kind", "criterion"),
    [("blur", "clarity"), ("noise", "artifacts"), ("darken", "lighting"), ("cover", "occlusion")],
)
def test_a_fault_costs_points_of_its_criterion(face, rubric, kind, criterion, tmp_path):
    frames, landmarks = face
    whole = score(frames, landmarks, rubric)[1]
    worse = score(degrade(frames, landmarks, kind, 3, tmp_path), landmarks, rubric)[1]
    assert worse[criterion] < 0.6 * whole[criterion]


def test_frames_without_a_face_cost_points(face, rubric):
    frames, landmarks = face
    masks = np.ones(frames.shape[:3], bool)
    all_found, few_found = (
        judge_quality(assess(frames, masks, landmarks=landmarks, found=np.array(found)), rubric)[0]
        for found in ([1, 1, 1, 1, 1], [1, 0, 0, 1, 0])
    )
    assert few_found["occlusion"] < all_found["occlusion"]


def test_five_landmarks_do_as_well(face, rubric):
    frames, landmarks = face
    many, few = (
        score(frames, landmarks, rubric, of_judge=of_judge)[0]
        for of_judge in (landmarks, five_points(landmarks))
    )
    assert abs(many - few) < 12


def test_a_picture_of_one_colour_is_measured():
    frames = np.full((3, 64, 64, 3), 128, np.uint8)
    five = np.tile(np.float32([[24, 26], [40, 26], [32, 34], [26, 42], [38, 42]]), (3, 1, 1))
    masks, found = np.zeros((3, 64, 64), bool), np.ones(3, np.uint8)
    quality = assess(frames, masks, landmarks=five, found=found)
    assert all(np.isfinite(value) for value in vars(quality).values())
    assert quality.blur == 1


@pytest.mark.parametrize("name", ANCHORS)
def test_anchors_are_monotone(name):
    values, shares = zip(*ANCHORS[name], strict=True)
    assert list(values) == sorted(set(values))
    assert list(shares) in (sorted(shares), sorted(shares, reverse=True))


@pytest.mark.parametrize(
    "name", ["eval/liveportrait_d0", "eval/spectre_M030", "eval/x-nemo", "real/keep_real_3"]
)
def test_degrading_real_clips_in_all_ways_at_once_costs_points(name, shared, repository, rubric, tmp_path):
    """At 512 x 512, and twice as much each time: what a codec leaves of noise must not pass for detail."""
    from vividface.faces.load import load_backend

    (video,) = (shared / "faces").glob(f"{name}*.mp4")
    config = load_config(repository / "config.yaml", repository / "configs" / "demo.yaml")
    frames, landmarks = cropped(read_clip(video, 0, 13)[::4], load_backend(config.faces), 512)
    scores = []
    for blur, crf in ((0, 16), (1, 20), (2, 26), (4, 32)):
        soft = np.stack([cv2.GaussianBlur(f, (0, 0), blur) if blur else f for f in frames])
        noisy = np.clip(soft + np.random.default_rng(1).normal(0, blur, soft.shape), 0, 255).astype(np.uint8)
        scores.append(score(compress(noisy, crf, tmp_path), landmarks, rubric)[0])
    assert all(after <= before + 0.5 for before, after in pairwise(scores)), scores
    assert scores[-1] < scores[0] - 8, scores
