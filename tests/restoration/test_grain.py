"""Grain: measured, and put back where a restoration removed it."""

import cv2
import numpy as np
import pytest

from vividface.faces.base import Face, Region
from vividface.restoration.cutting import FaceFrame
from vividface.restoration.grain import LostGrain, measure_grain
from vividface.restoration.paste import restore_faces
from vividface.video import iterate_frames

COUNT = 9


@pytest.fixture(scope="module")
def clean(face_video):
    """Frames that hold still, without any noise of their own."""
    frame = cv2.GaussianBlur(next(iterate_frames(face_video)), (0, 0), 1.5)
    return [frame] * COUNT


def grainy(frames, *, deviation, sigma, colour=0.0):
    rng = np.random.default_rng(0)
    result = []
    for frame in frames:
        noise = rng.standard_normal((*frame.shape[:2], 3)).astype(np.float32)
        noise = colour * noise + (1 - colour) * noise[..., :1]
        if sigma:
            noise = cv2.GaussianBlur(noise, (0, 0), sigma)
        noise *= deviation / noise[..., 0].std()
        result.append(np.rint(frame + noise).clip(0, 255).astype(np.uint8))
    return result


def smooth(crops):
    return np.stack([cv2.GaussianBlur(crop, (0, 0), 2.5) for crop in crops])


def luma(frame):
    return frame.astype(np.float32) @ np.float32([0.299, 0.587, 0.114])


def noise_in(frames, part):
    """Deviation, and correlation with the next pixel, of what is new in each frame, of a still scene."""
    steps = np.diff([luma(frame)[part] for frame in frames], axis=0) / np.sqrt(2)
    correlation = (steps[..., 1:] * steps[..., :-1]).mean() / (steps**2).mean()
    return float(steps.std()), float(correlation)


class Outline:
    """The face is its box."""

    num_landmarks, same_person = 5, 0.9

    def parse(self, frames, faces):
        parsed = np.zeros((len(frames), *frames[0].shape[:2]), np.uint8)
        for mask, face in zip(parsed, faces, strict=True):
            x0, y0, x1, y1 = np.rint(face.box).astype(int)
            mask[max(y0, 0) : y1, max(x0, 0) : x1] = Region.FACE
        return parsed

    def embed(self, frames, faces):
        return np.ones((len(faces), 1), np.float32)


def restored(frames, *, grain, first=0, restore=smooth):
    height, width = frames[0].shape[:2]
    side = 0.5 * min(height, width)
    low = np.array([width - side, height - side]) / 2
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    face = Face(np.array([*low, *(low + side)], np.float32), (low + points * side).astype(np.float32), 1.0)
    faces = [FaceFrame(frame, [face], first + index) for index, frame in enumerate(frames)]
    core = tuple(slice(int(edge + 0.2 * side), int(edge + 0.8 * side)) for edge in low[::-1])
    result = restore_faces(faces, restore, backend=Outline(), size=192, margin=0.3, min_face=16, grain=grain)
    return result.frames, core


@pytest.mark.parametrize(("deviation", "sigma"), [(4, 0), (4, 0.8), (9, 0.8), (9, 1.2)])
def test_the_restored_face_has_the_grain_of_the_film(clean, deviation, sigma):
    film = grainy(clean, deviation=deviation, sigma=sigma)
    without, core = restored(film, grain=0)
    with_grain, _ = restored(film, grain=1)
    before, lost, after = (noise_in(frames, core) for frames in (film, without, with_grain))
    assert lost[0] < 0.75 * before[0], "the restoration takes grain away"
    assert after[0] == pytest.approx(before[0], rel=0.2)
    assert after[1] == pytest.approx(before[1], abs=0.15)
    half = noise_in(restored(film, grain=0.5)[0], core)[0]
    assert lost[0] < half < after[0]


def test_what_is_not_restored_keeps_its_pixels(clean):
    film = grainy(clean, deviation=6, sigma=0.8)
    without, _ = restored(film, grain=0)
    with_grain, _ = restored(film, grain=1)
    for before, plain, after in zip(film, without, with_grain, strict=True):
        untouched = (plain == before).all(axis=-1)
        far = cv2.erode(untouched.astype(np.uint8), np.ones((25, 25))) > 0
        assert far.mean() > 0.3
        assert (after[far] == before[far]).all()


def test_nothing_is_put_back_where_nothing_is_lost(clean, face_video):
    moving = list(iterate_frames(face_video, 0, COUNT))
    for frames in (clean, moving):
        assert measure_grain(frames).luma == 0
        for one, other in zip(restored(frames, grain=1)[0], restored(frames, grain=0)[0], strict=True):
            np.testing.assert_array_equal(one, other)
    film = grainy(clean, deviation=6, sigma=0.8)
    kept, _ = restored(film, grain=1, restore=lambda crops: crops)
    assert max(np.abs(one.astype(int) - other).max() for one, other in zip(kept, film, strict=True)) <= 4
    assert np.mean([np.abs(o.astype(int) - f).mean() for o, f in zip(kept, film, strict=True)]) < 0.1


def test_the_same_frame_gets_the_same_grain_in_every_window(clean):
    film = grainy(clean, deviation=6, sigma=0.8)
    one, core = restored(film, grain=1)
    again, _ = restored(film, grain=1)
    np.testing.assert_array_equal(one, again)
    plain, _ = restored(film, grain=0)
    later, _ = restored(film[4:], grain=1, first=4)
    added = [luma(frame)[core] - luma(base)[core] for frame, base in zip(one, plain, strict=True)]
    added_later = [luma(frame)[core] - luma(base)[core] for frame, base in zip(later, plain[4:], strict=True)]
    for first, second in zip(added[4:], added_later, strict=True):
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.95
    assert abs(np.corrcoef(added[4].ravel(), added[5].ravel())[0, 1]) < 0.1, "new in every frame"


def test_grain_is_measured_by_brightness_and_colour():
    ramp = np.linspace(40, 220, 256, dtype=np.float32)[None, :, None].repeat(192, 0).repeat(3, 2)
    rng = np.random.default_rng(1)
    strength = np.linspace(8, 2, 256, dtype=np.float32)[None, :, None]
    frames = [
        np.rint(ramp + strength * rng.standard_normal((192, 256, 1))).clip(0, 255).astype(np.uint8)
        for _ in range(5)
    ]
    grain = measure_grain(frames)
    dark, bright = grain.at(np.array([60, 200]))
    assert 6 < dark[0] < 8
    assert 2 < bright[0] < 3.5
    assert max(dark[1:].max(), bright[1:].max()) < 0.7, "a black and white film's grain is grey"
    coloured = measure_grain(grainy([ramp.astype(np.uint8)] * 5, deviation=6, sigma=0, colour=1))
    assert coloured.at(np.array(128))[1:].min() > 2


def test_deep_frames_and_single_ones(clean):
    film = grainy(clean, deviation=6, sigma=0.8)
    deep = [frame.astype(np.uint16) * 257 for frame in film]
    assert measure_grain(deep).luma == pytest.approx(measure_grain(film).luma, rel=0.01)
    alone = measure_grain(film[:1])
    assert alone.luma == pytest.approx(measure_grain(film).luma, rel=0.25)
    assert measure_grain([film[0][:20, :20]]) is None, "too small to tell"
    lost = LostGrain(alone, measure_grain(clean))
    part = deep[0][:64, :96]
    mask = np.zeros((64, 96), np.float32)
    mask[:, 48:] = 1
    result = lost.add(part, mask, index=3, corner=(10, 20), strength=1)
    assert result.dtype == np.uint16
    assert (result[:, :48] == part[:, :48]).all()
    assert (result[:, 48:] != part[:, 48:]).mean() > 0.5
