"""Choosing whom to restore, by pixel and by photo, among real faces."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from vividface.config.times import parse_point, parse_time
from vividface.errors import InputError
from vividface.restoration.opening import open_source
from vividface.restoration.selection import choose_face
from vividface.video import read_clip

from .faces import CONFIG, backend, beside, changed, darken, run, shrunk, written

CUTS = CONFIG.model_copy(update={"cut_threshold": 27})


@pytest.fixture(scope="module")
def pair(face_video, other_face_video, tmp_path_factory):
    """Man and woman side by side for 14 frames; then, after a cut, the woman on the left."""
    first = beside(shrunk(face_video, 14), shrunk(other_face_video, 14))
    frames = np.concatenate([first, beside(shrunk(other_face_video, 12, 30), shrunk(face_video, 12, 30))])
    return written(tmp_path_factory.mktemp("pair") / "pair.mkv", frames), frames


def restored(pair, face, folder):
    """Whether the left and the right face are restored, in the first shot and in the second."""
    source, frames = pair
    config = CUTS.model_copy(update={"face": face})
    result = run(source, folder / "out.mkv", darken, config=config, overwrite=True)
    amounts = changed(frames, read_clip(folder / "out.mkv"))
    return [bool(amounts[index, side] > 30) for index in (7, 20) for side in (0, 1)], result


def photo_of(video, path):
    cv2.imwrite(str(path), read_clip(video, 50, 51)[0][..., ::-1])
    return str(path)


def test_everybody_or_one_person_over_a_cut(pair, face_video, other_face_video, tmp_path):
    both, result = restored(pair, "all", tmp_path)
    assert both == [True] * 4
    assert result.people == []
    woman = [False, True, True, False]
    assert restored(pair, "largest", tmp_path)[0] == woman, "her face is larger"
    man = [True, False, False, True]
    for face in ("150,105@0.2", "470,105@0.8", photo_of(face_video, tmp_path / "man.png")):
        chosen, result = restored(pair, face, tmp_path)
        assert chosen == man, face
        assert [person["strength"] for person in result.people] == [1.0]
    for face in ("540,110@0", photo_of(other_face_video, tmp_path / "woman.jpg")):
        assert restored(pair, face, tmp_path)[0] == woman, face


def test_nobody_matches(other_face_video, face_video, tmp_path):
    source = written(tmp_path / "man.mkv", shrunk(face_video, 12))
    photo = photo_of(other_face_video, tmp_path / "woman.png")
    message = r"man\.mkv: no face was found in 12 frames that is the person of .*woman\.png; choose another"
    with pytest.raises(InputError, match=message):
        run(source, tmp_path / "out.mkv", config=CONFIG.model_copy(update={"face": photo}))
    assert not (tmp_path / "out.mkv.partial").exists()


def test_a_choice_that_cannot_be_looked_up_says_why(pair, tmp_path):
    source = open_source(pair[0])

    def choose(face):
        return choose_face(face, source, backend())

    assert choose("all").kind == "all"
    empty, two = tmp_path / "empty.png", tmp_path / "two.png"
    cv2.imwrite(str(empty), np.full((90, 90, 3), 128, np.uint8))
    cv2.imwrite(str(two), pair[1][0][..., ::-1])
    for face, message in (
        ("5,5@0.2", r"--face 5,5@0\.2: no face covers this pixel \(faces are at \d+,\d+, \d+,\d+\); give"),
        ("150,105@00:01:00", r"--face 150,105@00:01:00: .*pair\.mkv ends before this time"),
        (str(empty), r"empty\.png: no face was found in the photo; give one that shows the person's face"),
        (str(two), r"two\.png: 2 faces were found in the photo; give one"),
        (str(tmp_path / "none.png"), r"none\.png: is no photo; give all, largest, X,Y@TIME, or the path"),
        ("biggest", r"--face biggest: is no photo; give all, largest"),
    ):
        with pytest.raises(InputError, match=message):
            choose(face)
    with pytest.raises(InputError, match="--face largest: the mode crop looks for no faces"):
        choose_face("largest", source, None)


def test_a_time_is_seconds_or_hours_minutes_and_seconds():
    assert parse_time("83.5") == parse_time("1:23.5") == parse_time("00:01:23.500") == Fraction(167, 2)
    assert parse_time("01:00:00") == 3600
    for text in ("", "-1", "1:2:3:4", "x", "1:60", "1e3"):
        with pytest.raises(ValueError, match="is no time; write seconds"):
            parse_time(text)
    assert parse_point("640,200@1:00") == (640, 200, 60)
    assert parse_point("/photos/anna@home.jpg") is None
