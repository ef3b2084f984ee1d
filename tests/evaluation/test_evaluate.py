"""`vividface.evaluate`: anybody's folder of results."""

import numpy as np
import pytest

import vividface
from vividface.errors import InputError
from vividface.video import write_clip


@pytest.fixture
def folders(tmp_path, moving_frames):
    """Results and their references: one clip is the same, one is brighter."""
    for name, added in (("same", 0), ("brighter", 10)):
        write_clip(tmp_path / "restored" / f"{name}.mkv", np.minimum(moving_frames + added, 240), 25)
        write_clip(tmp_path / "true" / f"{name}.mp4", moving_frames, 25, codec="h264")
    return tmp_path / "restored", tmp_path / "true"


def values(table, metric):
    return table[table["metric"] == metric].set_index("clip_id")["value"]


def test_results_are_matched_by_name_and_measured(folders):
    table = vividface.evaluate(*folders, metrics=["psnr_rgb", "ssim_y"])
    psnr = values(table, "psnr_rgb")
    assert psnr["same"] > psnr["brighter"] > 20
    assert values(table, "ssim_y").between(0.8, 1).all()


def test_without_a_reference_only_metrics_that_need_none_are_measured(folders):
    table = vividface.evaluate(folders[0])
    assert {"niqe", "facecons_dlib", "landmark_motion"} == set(table["metric"])
    reasons = table.set_index("metric")["reason"]
    assert (reasons["facecons_dlib"] == "no face is found in the clip").all()
    asked = vividface.evaluate(folders[0], metrics=["psnr_rgb"])
    assert (asked["reason"] == "this benchmark has no ground truth").all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda r, t: (t / "same.mp4").unlink(),
            "true: holds no video named same, to compare .*same.mkv with; add it",
        ),
        (
            lambda r, t: [p.unlink() for p in r.iterdir()],
            "restored: holds no videos; known suffixes are .3g2, .3gp",
        ),
        (
            lambda r, t: (r / "same.mp4").write_bytes(b""),
            "same.mp4: differs from same.mkv only by its suffix",
        ),
        (
            lambda r, t: write_clip(r / "same.mkv", np.zeros((9, 32, 32, 3), np.uint8), 25),
            r"same.mkv: has frames, height and width \(9, 32, 32\), but its ground truth",
        ),
    ],
    ids=["no reference", "no results", "two of a name", "other size"],
)
def test_what_does_not_fit_is_said_in_one_line(folders, spoil, message):
    restored, true = folders
    spoil(restored, true)
    with pytest.raises(InputError, match=message) as caught:
        vividface.evaluate(restored, true, metrics=["psnr_rgb"])
    assert "\n" not in str(caught.value)


def test_names_that_are_not_known(folders):
    with pytest.raises(InputError, match="sharpness is not known; known are akd,"):
        vividface.evaluate(*folders, metrics=["sharpness"])
    with pytest.raises(InputError, match="no face backend 'opencv'; choose one of mediapipe, dlib, facexlib"):
        vividface.evaluate(*folders, faces="opencv")


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="nothing: there is no such folder"):
        vividface.evaluate(tmp_path / "nothing")
