"""People over windows, cuts and interruptions: who they are, and how strongly each is restored."""

import json
from itertools import pairwise

import numpy as np
import pytest

from vividface.config import EnhanceConfig
from vividface.faces.base import Face, Region
from vividface.restoration import people, results
from vividface.restoration.enhance import enhance
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source
from vividface.restoration.people import People
from vividface.restoration.selection import Choice
from vividface.video import read_clip, write_clip

CONFIG = EnhanceConfig(window=9, overlap=2, cut_threshold=None)
SIDE, CUT = 40, 20


class Shades:
    """Faces are grey squares, in frames whose first pixel is the number of the frame.

    The shade is the identity: an angle of 1 degree a level.
    """

    num_landmarks, same_person = 68, np.cos(np.radians(25))

    def __init__(self, places):
        self._places = places

    def detect(self, frames):
        return [[make_face(*place[:3]) for place in self._places(int(frame[0, 0, 0]))] for frame in frames]

    def parse(self, frames, faces):
        return np.full((len(frames), *frames[0].shape[:2]), Region.FACE, np.uint8)

    def embed(self, frames, faces):
        shades = []
        for frame, face in zip(frames, faces, strict=True):
            x, y = ((face.box[:2] + face.box[2:]) / 2).astype(int)
            shades.append(np.radians(float(frame[y, x, 0])))
        return np.stack([np.cos(shades), np.sin(shades)], axis=1).astype(np.float32)


def make_face(x, y, size=SIDE):
    grid = np.linspace(0.1, 0.9, 68, dtype=np.float32) * size
    return Face(np.array([x, y, x + size, y + size], np.float32), np.stack([x + grid, y + grid], axis=1), 1.0)


def write_scene(path, count, places):
    """A lossless video of squares at (x, y, side, shade), with a cut before frame 20."""
    frames = np.full((count, 96, 160, 3), 20, np.uint8)
    frames[CUT:] = 150
    for index, frame in enumerate(frames):
        for x, y, size, shade in places(index):
            frame[y : y + size, x : x + size] = shade
        frame[0, 0] = index
    write_clip(path, frames, 25)
    return path


def restorer_of(places, restore):
    return FaceRestorer(
        restore=restore, size=64, clip_frames=9, backend=Shades(places), fingerprint={}, description=""
    )


def brighten(levels):
    return lambda crops: crops + np.uint8(levels)


def shades(path, x, y):
    """The shade of a pixel in each frame of a result."""
    return read_clip(path)[:, y, x, 0].astype(float)


def one(index):
    return [(50, 30, SIDE, 40)]


def test_the_strength_of_a_track_never_jumps_where_windows_meet(tmp_path):
    """From the third window on the model makes another person of the face."""
    source = write_scene(tmp_path / "in.mkv", 80, one)
    calls = []

    def restore(crops):
        calls.append(1)
        return crops + np.uint8(20 if len(calls) < 4 or len(calls) > 7 else 80)

    config = CONFIG.model_copy(update={"strength": "auto"})
    result = enhance(
        open_source(source), tmp_path / "out.mkv", restorer=restorer_of(one, restore), config=config
    )
    restored = shades(tmp_path / "out.mkv", 70, 50) - 40
    assert restored[:20] == pytest.approx(20, abs=2)
    assert restored[-2:] == pytest.approx(20, abs=2), "the strength has risen again"
    assert np.abs(np.diff(restored[55:])).max() <= 2
    assert restored[40:46] == pytest.approx(25, abs=4), "25 degrees, not 80"
    (person,) = result.people
    assert person["cosine"] == pytest.approx(np.cos(np.radians(80)), abs=0.03)
    assert person["strength"] == pytest.approx(25 / 80, abs=0.07)


def weights_of(crowd, count, restored_shade):
    """The strengths of one face over windows of 9 frames that share 2."""
    strengths = []
    for first in range(0, count, 7):
        face = make_face(12, 12)
        crops = np.full((9, 64, 64, 3), 40, np.uint8)
        crowd.enter_window(first=first, times=range(first, first + 9), starts_shot=False)
        crowd.meet([[make_face(50, 30)] * 9], [Shades(one).embed([crops[0]], [face])[0]])
        restored = np.full_like(crops, restored_shade(first))
        strengths.append(crowd.weights(0, crops, restored, [face] * 9, start=0))
    return strengths


def test_strengths_are_continuous_over_windows_and_survive_an_interruption():
    def shade(first):
        return 120 if 20 < first < 50 else 45

    crowd = People(Shades(one), Choice(), is_auto=True)
    strengths = weights_of(crowd, 100, shade)
    for before, after in pairwise(strengths):
        assert abs(after[0] - before[6]) < 0.09, "the later window goes on from the frame before it"
    every = np.concatenate([part[:7] for part in strengths])
    assert np.abs(np.diff(every)).max() < 0.09
    assert every.min() < 0.4
    assert every[-1] > 0.9
    resumed = People(Shades(one), Choice(), is_auto=True)
    resumed.resume(json.loads(json.dumps(crowd.state())))
    assert resumed.state() == crowd.state()
    again = [weights_of(other, 7, lambda first: 120) for other in (crowd, resumed)]
    np.testing.assert_array_equal(*again)
    assert crowd.report() == resumed.report()


def two(index):
    """A small face on the left; after the cut they change places."""
    small, large = (20, 30, 30, 40), (90, 20, 44, 100)
    if index < CUT:
        return [small, large]
    return [(120, 30, 30, 40), (20, 20, 44, 100)]


def restored_at(source, output, config, places, points):
    """Whether each of some points (frame, x, y) was restored."""
    restorer = restorer_of(places, brighten(20))
    enhance(open_source(source), output, restorer=restorer, config=config, overwrite=True)
    before, after = read_clip(source).astype(int), read_clip(output).astype(int)
    return [bool((after - before)[frame, y, x].mean() > 15) for frame, x, y in points]


@pytest.mark.parametrize(
    ("face", "expected"),
    [
        ("all", [True, True, True, True]),
        ("largest", [False, True, False, True]),
        ("35,45@0.2", [True, False, True, False]),
        ("110,40@0.2", [False, True, False, True]),
        ("135,45@00:00:01.2", [True, False, True, False]),
    ],
)
def test_a_person_is_followed_over_windows_and_a_cut(face, expected, tmp_path):
    source = write_scene(tmp_path / "in.mkv", 40, two)
    config = EnhanceConfig(window=9, overlap=2, cut_threshold=27, face=face)
    points = [(18, 35, 45), (18, 110, 40), (30, 135, 45), (30, 40, 40)]
    assert restored_at(source, tmp_path / "out.mkv", config, two, points) == expected


def test_the_largest_does_not_alternate_between_equals(tmp_path):
    def places(index):
        grown = SIDE + (2 if index // 9 % 2 else -2)
        return [(10, 30, SIDE, 40), (90, 30, grown, 100)]

    source = write_scene(tmp_path / "in.mkv", 60, places)
    config = CONFIG.model_copy(update={"face": "largest"})
    points = [(index, x, 45) for x in (25, 105) for index in range(4, 60, 6)]
    restored = restored_at(source, tmp_path / "out.mkv", config, places, points)
    assert sorted({tuple(restored[:10]), tuple(restored[10:])}) == [(False,) * 10, (True,) * 10]


def test_who_is_chosen_later_is_faded_in(tmp_path):
    """The right face grows; when it has become the largest, neither face jumps."""

    def places(index):
        return [(10, 30, SIDE, 40), (90, 20, 30 + 4 * min(index // 9, 10), 100)]

    source = write_scene(tmp_path / "in.mkv", 160, places)
    config = CONFIG.model_copy(update={"face": "largest"})
    restorer = restorer_of(places, brighten(48))
    enhance(open_source(source), tmp_path / "out.mkv", restorer=restorer, config=config)
    lossless = read_clip(source)
    for x, y, before, after in ((30, 50, 48, 0), (105, 35, 0, 48)):
        change = shades(tmp_path / "out.mkv", x, y) - lossless[:, y, x, 0]
        later = change[CUT + 4 :]
        assert later[:6] == pytest.approx(before, abs=2)
        assert later[-6:] == pytest.approx(after, abs=2)
        assert np.abs(np.diff(later)).max() <= 48 / 12 + 3


def test_an_interrupted_run_resumes_with_the_same_strengths(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PART_FRAMES", 12)
    source = write_scene(tmp_path / "in.mkv", 60, two)
    config = EnhanceConfig(window=9, overlap=2, cut_threshold=27, face="110,40@0.2", strength="auto")

    def make(limit):
        calls = []

        def restore(crops):
            calls.append(1)
            if len(calls) > limit:
                raise RuntimeError("the model broke")
            return crops + np.uint8(60)

        return restorer_of(two, restore)

    whole = enhance(open_source(source), tmp_path / "whole.mkv", restorer=make(99), config=config)
    with pytest.raises(RuntimeError, match="the model broke"):
        enhance(open_source(source), tmp_path / "out.mkv", restorer=make(5), config=config)
    resumed = enhance(
        open_source(source), tmp_path / "out.mkv", restorer=make(99), config=config, resume=True
    )
    assert 0 < resumed.num_restored < 60
    assert (tmp_path / "out.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()
    assert resumed.people == whole.people


def test_a_crowd_is_forgotten():
    identities = np.random.default_rng(0).normal(size=(100, 128))
    identities /= np.linalg.norm(identities, axis=1, keepdims=True)
    crowd = People(Shades(one), Choice(), is_auto=False)
    for first, identity in zip(range(0, 9 * 100, 9), identities, strict=True):
        crowd.enter_window(first=first, times=range(first, first + 9), starts_shot=True)
        crowd.meet([[make_face(50, 30)] * 9], [identity])
        crops = np.full((9, 64, 64, 3), 40, np.uint8)
        crowd.weights(0, crops, crops, [make_face(12, 12)] * 9, start=0)
    assert len(crowd.state()["people"]) <= people._REMEMBERED
    numbers = [person["person"] for person in crowd.report()]
    assert numbers == list(range(1, 101)), "the report still knows who was restored"
