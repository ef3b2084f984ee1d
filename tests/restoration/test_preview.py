"""A preview: one picture per shot."""

import cv2
import numpy as np
import pytest

from vividface.errors import InputError
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source
from vividface.restoration.preview import find_shots, preview, preview_names
from vividface.restoration.reading import Excerpt

from .faces import CONFIG, backend, beside, darken, shrunk, written

CUTS = CONFIG.model_copy(update={"cut_threshold": 27})


def shown(source, path, *, config=CUTS, faces=True, **options):
    restorer = FaceRestorer(
        restore=darken, size=128, clip_frames=9, backend=backend() if faces else None, fingerprint={}
    )
    return list(preview(source, path, restorer=restorer, config=config, **options))


@pytest.fixture(scope="module")
def film(face_video, other_face_video, tmp_path_factory):
    """The man, the woman, and nobody: 20, 14 and 6 frames."""
    nobody = np.repeat(np.linspace(0, 255, 320, dtype=np.uint8)[None, None, :, None], 180, 1).repeat(3, 3)
    clips = [shrunk(face_video, 20), shrunk(other_face_video, 14), nobody.repeat(6, 0)]
    return written(tmp_path_factory.mktemp("film") / "film.mkv", np.concatenate(clips))


def test_each_shot_has_a_picture_of_its_middle(film, face_video, tmp_path):
    source = open_source(film)
    assert find_shots(source, 27) == [range(20), range(20, 34), range(34, 40)]
    previews = shown(source, tmp_path / "look.png")
    assert [one.path.name for one in previews] == ["look-01.png", "look-02.png", "look-03.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [one.path.name for one in previews]
    assert [one.has_face for one in previews] == [True, True, False]
    assert [one.time for one in previews] == pytest.approx([10 / 25, 27 / 25, 37 / 25], abs=0.05)
    picture = cv2.imread(str(previews[0].path))[..., ::-1].astype(int)
    height, width = picture.shape[:2]
    before, after = picture[40:, : width // 2], picture[40:, width // 2 :]
    original = cv2.resize(shrunk(face_video, 1, 10)[0], (width // 2, height))[40:]
    assert np.abs(before - original).mean() < 2
    assert np.percentile((before - after).mean(axis=2), 97) > 50, "his face is darkened"
    last = cv2.imread(str(previews[2].path)).astype(int)[40:]
    np.testing.assert_array_equal(last[:, : width // 2], last[:, width // 2 :])


def test_one_shot_has_the_name_itself(film, tmp_path):
    source = open_source(film, excerpt=Excerpt(num_frames=12))
    (one,) = shown(source, tmp_path / "look.jpg")
    assert one.path == tmp_path / "look.jpg"
    with pytest.raises(InputError, match=r"look\.jpg: exists already; give another name or add --overwrite"):
        shown(source, tmp_path / "look.jpg")
    shown(source, tmp_path / "look.jpg", overwrite=True)
    assert preview_names(tmp_path / "a.png", 100)[0].name == "a-001.png"


def test_strength_and_choice_are_seen_in_it(face_video, other_face_video, tmp_path):
    pair = written(tmp_path / "pair.mkv", beside(shrunk(face_video, 9), shrunk(other_face_video, 9)))
    config = CUTS.model_copy(update={"face": "150,105@0.1"})
    (one,) = shown(open_source(pair), tmp_path / "look.png", config=config)
    picture = cv2.imread(str(one.path)).astype(int)
    half = picture.shape[1] // 2
    change = (picture[40:, :half] - picture[40:, half:]).mean(axis=2)
    assert np.percentile(change[:, : half // 2], 97) > 40
    assert not change[:, half // 2 + 60 :].any()


def test_a_preview_of_crops_and_of_nothing(film, tmp_path):
    first = open_source(film, excerpt=Excerpt(num_frames=5))
    (one,) = shown(first, tmp_path / "crop.png", faces=False)
    assert not one.has_face
    with pytest.raises(InputError, match=r"--preview .*look\.mp4: is no name of a picture; use \.jpg"):
        shown(first, tmp_path / "look.mp4")
