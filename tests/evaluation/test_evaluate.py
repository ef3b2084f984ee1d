"""`vividface.evaluate`: anybody's folder of results."""

import cv2
import numpy as np
import pandas as pd
import pytest

import vividface
from vividface.errors import InputError
from vividface.evaluation import measure as measuring
from vividface.video import read_clip, write_clip


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
    names = {"niqe", "musiq", "clipiqa", "facecons_dlib", "landmark_motion", "fastervqa"}
    assert names == set(table["metric"])
    reasons = table.set_index("metric")["reason"]
    assert (reasons["facecons_dlib"] == "no face is found in the clip").all()
    asked = vividface.evaluate(folders[0], metrics=["psnr_rgb"])
    assert (asked["reason"] == "this benchmark has no ground truth").all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda r, t: (t / "same.mp4").unlink(),
            "true: holds no reference named same, to go with .*same.mkv; add it",
        ),
        (
            lambda r, t: [p.unlink() for p in r.iterdir()],
            "restored: holds neither videos nor folders of frames; .* are .3g2, .3gp",
        ),
        (
            lambda r, t: (r / "same.mp4").write_bytes(b""),
            "same.mp4: has the name of same.mkv; rename one",
        ),
        (
            lambda r, t: write_clip(r / "same.mkv", np.zeros((9, 32, 32, 3), np.uint8), 25),
            r"same.mkv: is 32x32 px, but .*same.mp4, which it is compared with, is 64x64",
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
    with pytest.raises(InputError, match="nothing: there is no such file or folder"):
        vividface.evaluate(tmp_path / "nothing")


def test_several_methods_have_a_row_each_and_the_input_too(folders, moving_frames, tmp_path):
    restored, true = folders
    for name in ("same", "brighter"):
        small = np.ascontiguousarray(moving_frames[:, ::2, ::2])
        write_clip(tmp_path / "lq" / f"{name}.mkv", small, 25)
        frames = tmp_path / "frames" / name
        frames.mkdir(parents=True)
        for index, frame in enumerate(moving_frames):
            cv2.imwrite(str(frames / f"{index}.png"), frame[..., ::-1])
    table = vividface.evaluate(
        [restored, tmp_path / "frames"], true, inputs=tmp_path / "lq", metrics=["psnr_rgb"]
    )
    psnr = table.set_index(["method", "clip_id"])["value"].unstack()
    assert list(psnr.columns) == ["brighter", "same"]
    assert psnr.loc["frames", "brighter"] == psnr.loc["frames", "same"] == psnr.loc["restored", "same"]
    enlarged = np.stack([cv2.resize(f, (64, 64), interpolation=cv2.INTER_CUBIC) for f in small]).astype(float)
    errors = ((enlarged - read_clip(true / "same.mp4")) ** 2).mean(axis=(1, 2, 3))
    expected = (10 * np.log10(255**2 / errors)).mean()
    assert psnr.loc["input", "same"] == pytest.approx(expected, abs=1e-3)
    only = vividface.evaluate(
        [tmp_path / "frames" / "same", restored / "brighter.mkv"], true / "same.mp4", metrics=["psnr_rgb"]
    )
    assert set(only["method"]) == {"same", "brighter.mkv"}, "single clips belong together"


def test_an_interrupted_evaluation_goes_on(folders, tmp_path, monkeypatch):
    partial = tmp_path / "partial"
    measured = []
    measure = measuring._Measurer.__call__

    def interrupted(self, clip):
        if measured:
            raise KeyboardInterrupt
        measured.append(clip.clip_id)
        return measure(self, clip)

    monkeypatch.setattr(measuring._Measurer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        vividface.evaluate(*folders, metrics=["psnr_rgb"], partial=partial)
    assert len(list(partial.iterdir())) == 1

    def counted(self, clip):
        measured.append(clip.clip_id)
        return measure(self, clip)

    monkeypatch.setattr(measuring._Measurer, "__call__", counted)
    table = vividface.evaluate(*folders, metrics=["psnr_rgb"], partial=partial)
    assert sorted(measured) == ["brighter", "same"]
    assert not partial.exists()
    pd.testing.assert_frame_equal(table, vividface.evaluate(*folders, metrics=["psnr_rgb"]))


def test_an_offset_of_a_clip_that_there_is_not(folders):
    with pytest.raises(InputError, match="--align other: there is no such clip; there are brighter, same"):
        vividface.evaluate(*folders, metrics=["psnr_rgb"], offsets={"other": 2})
