from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
import pytest
from vividface.filtering.select import select_clips

from vividface.errors import InputError
from vividface.faces.dlib_backend import outline_mask
from vividface.faces.landmarks import five_points
from vividface.filtering.rubric import load_rubric
from vividface.filtering.signals import ANCHORS, score_clip


@pytest.fixture(scope="module")
def rubric():
    return load_rubric("face90")


@pytest.fixture(scope="module")
def face():
    """A textured, face-like clip (5, 128, 128, 3) and plausible landmarks."""
    generator = np.random.default_rng(0)
    # Texture, not noise: it has no energy at the very highest frequencies.
    fine = cv2.GaussianBlur(generator.normal(0, 30, (128, 128)), (0, 0), 0.9)[..., None]
    coarse = cv2.GaussianBlur(generator.normal(0, 160, (128, 128)), (0, 0), 3)[..., None]
    base = np.clip(np.array([165, 125, 105]) + fine + coarse, 0, 255).astype(np.uint8)
    angles = np.linspace(0, np.pi, 17)
    jaw = np.stack([64 - 40 * np.cos(angles), 60 + 45 * np.sin(angles)], 1)
    brows = np.stack([np.linspace(30, 98, 10), np.full(10, 45.0)], 1)
    nose = np.stack([np.full(9, 64.0) + np.linspace(-6, 6, 9), np.linspace(50, 75, 9)], 1)
    eyes = np.concatenate([np.array([[x, 55 + y]]) for x in (40, 44, 48, 80, 84, 88) for y in (-2, 2)])
    mouth = np.stack([np.linspace(48, 80, 20), 90 + 4 * np.sin(np.linspace(0, 6, 20))], 1)
    landmarks = np.concatenate([jaw, brows, nose, eyes, mouth]).astype(np.float32)
    return np.tile(base, (5, 1, 1, 1)), np.tile(landmarks, (5, 1, 1)), np.ones(5, np.uint8)


def masks_of(landmarks):
    return np.stack([outline_mask(points, 128, 128) for points in landmarks])


def score(frames, face, rubric):
    return score_clip(frames, masks_of(face[1]), face[1], face[2], rubric)["score"]


def test_rubric_is_the_papers(rubric):
    assert [c.points for c in rubric.criteria.values()] == [35, 20, 20, 15, 10]
    assert sorted(a.points for a in rubric.adjustments.values()) == [-3, -3, -2, -2, 1, 2]
    assert rubric.tiers == {"premium": 85, "high": 80, "standard": 75}
    assert [rubric.tier(s) for s in (90, 85, 82, 75, 74.9)] == [
        "premium",
        "premium",
        "high",
        "standard",
        "below",
    ]


def test_arithmetic_is_checked(rubric):
    points = {"clarity": 30.0, "stability": 18.0, "lighting": 19.0, "artifacts": 14.0, "occlusion": 10.0}
    assert rubric.total(points, ["texture", "noise"]) == (91, 0, 91)
    with pytest.raises(ValueError, match="clarity: 36"):
        rubric.total({**points, "clarity": 36.0}, [])
    with pytest.raises(ValueError, match="expected points for"):
        rubric.total({"clarity": 30.0}, [])


@pytest.mark.parametrize("name", ANCHORS)
def test_anchors_are_increasing_values(name):
    values = [value for value, _ in ANCHORS[name]]
    assert values == sorted(set(values))


def test_blur_never_raises_the_score(face, rubric):
    frames = face[0]
    scores = [score(frames, face, rubric)]
    for sigma in (0.6, 1.0, 2.0, 4.0):
        blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])
        scores.append(score(blurred, face, rubric))
    assert all(b <= a for a, b in pairwise(scores))
    assert scores[-1] < scores[0] - 15


def test_noise_never_raises_the_score(face, rubric):
    frames = face[0]
    scores = [score(frames, face, rubric)]
    for sigma in (2, 5, 10, 20):
        noise = np.random.default_rng(1).normal(0, sigma, frames.shape)
        scores.append(score(np.clip(frames + noise, 0, 255).astype(np.uint8), face, rubric))
    assert all(b <= a for a, b in pairwise(scores))
    assert scores[-1] < scores[0] - 5


def test_lost_face_and_darkness_cost_points(face, rubric):
    frames, landmarks, found = face
    masks = masks_of(landmarks)
    whole = score_clip(frames, masks, landmarks, found, rubric)
    lost = score_clip(frames, masks, landmarks, np.array([1, 0, 0, 1, 0], np.uint8), rubric)
    dark = score_clip((frames // 6).astype(np.uint8), masks, landmarks, found, rubric)
    assert lost["occlusion"] < whole["occlusion"]
    assert dark["lighting"] < whole["lighting"]
    assert whole["judge"] == "signals"


def test_selection_is_strictly_above():
    table = pd.DataFrame(
        {"clip_id": ["c", "a", "b"], "shard": "0000", "score": [90.0, 90.1, 95.0], "judge": "signals"}
    )
    assert list(select_clips(table, 90)["clip_id"]) == ["a", "b"]
    with pytest.raises(
        InputError, match=r"filter.threshold: no clip scores above 99 \(the best score is 95.0\)"
    ):
        select_clips(table, 99)


def test_wrong_rubrics(tmp_path):
    with pytest.raises(InputError, match="there is no rubric 'nobody'"):
        load_rubric("nobody")
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ncriteria: {clarity: {points: 50, asks: x}}\nadjustments: {}\ntiers: {}\n")
    with pytest.raises(InputError, match="sum to 50, not to 100"):
        load_rubric(str(path))


def test_five_landmarks_score_much_as_68_do(face, rubric):
    frames, landmarks, found = face
    masks = masks_of(landmarks)
    many = score_clip(frames, masks, landmarks, found, rubric)
    few = score_clip(frames, masks, five_points(landmarks), found, rubric)
    assert abs(many["score"] - few["score"]) < 8
    assert many["lighting"] == pytest.approx(few["lighting"], abs=1)
