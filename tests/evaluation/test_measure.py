"""Measuring clips on disk."""

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import psutil
import pytest
from progress import wait_until

from vividface.config import FacesConfig
from vividface.errors import InputError
from vividface.evaluation.footage import Footage
from vividface.evaluation.measure import Measuring, RestoredClip, measure_clips, write_benchmark_faces
from vividface.evaluation.metrics import METRICS
from vividface.evaluation.metrics.features import FaceReader, load_faces
from vividface.evaluation.metrics.video import FVDSet
from vividface.video import read_clip, write_clip

FACES = FacesConfig(backend="dlib", detection_size=640)
# Metrics whose weights only the web has, and two that are slow.
NOT_IN_PACKAGES = {"musiq", "clipiqa", "facecons_clip", "fastervqa", "fastervqa_middle"} | {
    f"{metric}_mobilefacenet" for metric in ("ids", "facecons", "vidd")
}


@pytest.fixture(scope="module")
def face_clips(shared, tmp_path_factory):
    """A restored clip and its reference, 6 frames of 128 px."""
    folder = tmp_path_factory.mktemp("clips")
    frames = read_clip(shared / "faces" / "bench" / "HDTF_1_GT.mp4", 0, 6)
    reference = np.stack([cv2.resize(frame, (128, 128), interpolation=cv2.INTER_AREA) for frame in frames])
    restored = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in reference])
    write_clip(folder / "hq.mkv", reference, 25)
    write_clip(folder / "restored.mkv", restored, 25)
    return {"face": folder / "restored.mkv"}, {"face": folder / "hq.mkv"}


def measured(restored, reference=None, *, degraded=None, offsets=None, **measuring):
    """The measurements of clips of one method, whose files are given by clip."""
    clips = [
        RestoredClip(
            clip_id=clip,
            results={"mine": Footage(path)},
            reference=Footage(reference[clip]) if reference else None,
            degraded=Footage(degraded[clip]) if degraded else None,
            offsets=offsets,
        )
        for clip, path in restored.items()
    ]
    return measure_clips(clips, Measuring(faces_config=FACES, **measuring))


def values_of(table):
    return table.set_index("metric")["value"]


def test_all_metrics_of_a_real_clip(face_clips, tmp_path, monkeypatch, fetched):
    for group in ("lpips_alex", "dists", "niqe", "facemesh"):
        fetched(group)
    restored, reference = face_clips
    left_out = (*NOT_IN_PACKAGES, "fvd_set", "fvd_pair", "lpips_vgg", "ssim_rgb")
    names = [name for name in METRICS if name not in left_out and "irse50" not in name]
    write_benchmark_faces(reference, FACES, with_features=True, output=tmp_path / "faces.safetensors")
    stored = load_faces(tmp_path / "faces.safetensors")["face"]
    assert stored.found.all()
    shapes = {name: array.shape for name, array in stored.features.items() if "mobilefacenet" not in name}
    assert shapes == {
        "identity": (6, 128),
        "fitted_landmarks": (6, 68, 2),
        "mesh_478": (6, 478, 2),
        "mesh_468": (6, 468, 2),
    }
    features = []
    compute = FaceReader._compute

    def count(self, feature, frames, faces):
        features.extend([feature] * len(frames))
        return compute(self, feature, frames, faces)

    monkeypatch.setattr(FaceReader, "_compute", count)
    table = measured(restored, reference, metrics=names, benchmark_faces=tmp_path / "faces.safetensors")
    assert len(features) == 4 * 6, "the reference's faces are not read again"
    values = values_of(table)
    assert (table["reason"] == "").all()
    assert 20 < values["psnr_rgb"] < 45
    assert 0.8 < values["ids_dlib"] < 1
    assert 0.9 < values["facecons_dlib"] <= 1
    assert 0 < values["akd"] < 10
    assert 0 < values["tlme"] < values["landmark_motion"] * 2
    again = values_of(measured(restored, reference, metrics=["ids", "akd"]))
    assert again["akd"] == pytest.approx(values["akd"], rel=1e-5)
    assert again["ids_dlib"] == pytest.approx(values["ids_dlib"], rel=1e-5)


def destroyed(path, output):
    """A clip without anything to see."""
    frames = read_clip(path)
    write_clip(output, np.random.default_rng(0).integers(0, 256, frames.shape, dtype=np.uint8), 25)
    return {"face": output}


def test_features_of_the_ground_truth_are_found_once(moving_frames, tmp_path, monkeypatch, fetched):
    fetched("fvd")
    true = np.concatenate([moving_frames, moving_frames[::-1]])[:17]
    files = {"true": true, "late": np.concatenate([true[:1], true[:-1]])}
    for name, frames in files.items():
        write_clip(tmp_path / f"{name}.mkv", frames, 25)
    reference, late = ({"a": tmp_path / f"{name}.mkv"} for name in files)
    stored = tmp_path / "faces.safetensors"
    write_benchmark_faces(reference, FACES, with_features=True, output=stored)
    seen = []
    features = FVDSet.features

    def count(self, frames, device="cpu"):
        seen.append(len(frames))
        return features(self, frames, device)

    monkeypatch.setattr(FVDSet, "features", count)
    expected = measured(late, reference, metrics=["fvd_set"])
    assert seen == [17, 17]
    found = measured(late, reference, metrics=["fvd_set"], benchmark_faces=stored)
    assert seen == [17, 17, 17]
    pd.testing.assert_frame_equal(found, expected)
    # Nothing is stored of a part of the ground truth, nor what another number of threads adds up.
    measured(late, reference, metrics=["fvd_set"], benchmark_faces=stored, offsets={"mine": 1})
    assert seen[3:] == [16, 16]
    monkeypatch.setattr("torch.get_num_threads", lambda: 1000)
    measured(late, reference, metrics=["fvd_set"], benchmark_faces=stored)
    assert seen[5:] == [17, 17]


def test_a_method_that_destroys_every_face_has_values_and_bad_ones(face_clips, tmp_path, fetched):
    fetched("facemesh")
    restored, reference = face_clips
    noise = destroyed(reference["face"], tmp_path / "noise.mkv")
    names = ["ids", "akd", "akd_468", "akd_68", "tlme", "facecons", "landmark_motion"]
    good, bad = (measured(clips, reference, metrics=names) for clips in (restored, noise))
    assert (bad["reason"] == "").all()
    good, bad = values_of(good), values_of(bad)
    for name in ("akd", "akd_468", "akd_68", "tlme"):
        assert bad[name] > 2 * good[name]
    assert bad["ids_dlib"] < good["ids_dlib"] - 0.05


def test_without_a_reference_faces_are_measured_in_the_inputs_places(face_clips, tmp_path):
    restored, reference = face_clips
    frames = read_clip(reference["face"])
    small = np.stack([cv2.resize(frame, (96, 96), interpolation=cv2.INTER_AREA) for frame in frames])
    write_clip(tmp_path / "input.mkv", frames, 25)
    write_clip(tmp_path / "small.mkv", small, 25)
    noise = destroyed(reference["face"], tmp_path / "noise.mkv")

    def facecons(clips, **places):
        (row,) = measured(clips, metrics=["facecons"], **places).to_dict("records")
        return row["value"], row["reason"]

    value, reason = facecons(noise)
    assert np.isnan(value)
    assert reason == "no face is found in the clip"
    inputs = {"face": tmp_path / "input.mkv"}
    value, reason = facecons(noise, degraded=inputs)
    assert reason == ""
    write_benchmark_faces(inputs, FACES, with_features=False, output=tmp_path / "faces.safetensors")
    assert load_faces(tmp_path / "faces.safetensors")["face"].features == {}
    assert facecons(noise, benchmark_faces=tmp_path / "faces.safetensors")[0] == pytest.approx(value)
    of_small = facecons(noise, degraded={"face": tmp_path / "small.mkv"})[0]
    assert of_small == pytest.approx(value, abs=0.05), "places of a smaller input are scaled"
    assert facecons(restored, degraded=inputs)[0] == pytest.approx(facecons(restored)[0], abs=1e-5)
    # Whether there is a value is the same for all methods: it depends on the input alone.
    assert facecons(restored, degraded=noise)[1] == "no face is found in the degraded input"
    write_clip(tmp_path / "short.mkv", frames[:4], 25)
    with pytest.raises(InputError, match=r"restored\.mkv: has 6 frames, but .*short\.mkv, .* has 4"):
        facecons(restored, degraded={"face": tmp_path / "short.mkv"})


def test_without_a_reference_and_without_faces_reasons_are_given(moving_frames, tmp_path):
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    table = measured({"a": tmp_path / "a.mkv"}, metrics=["psnr_rgb", "facecons", "akd_68"])
    reasons = table.set_index("metric")["reason"]
    assert table["value"].isna().all()
    assert reasons["psnr_rgb"] == reasons["akd_68"] == "this benchmark has no ground truth"
    assert reasons["facecons_dlib"] == "no face is found in the clip"


def test_missing_weights_are_reported_and_the_rest_is_measured(moving_frames, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "empty"))
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    clips = {"a": tmp_path / "a.mkv"}
    names = ["psnr_rgb", "lpips_alex", "niqe", "akd", "akd_468", "akd_68", "fvd_set", "fvd_pair"]
    table = measured(clips, clips, metrics=names).set_index("metric")
    assert table.loc["psnr_rgb", "value"] == pytest.approx(80)
    for name, weights in (
        ("lpips_alex", "alexnet_features"),
        ("niqe", "niqe_parameters"),
        ("akd_468", "facemesh"),
        ("fvd_set", "i3d_kinetics400"),
        ("fvd_pair", "i3d_kinetics400"),
    ):
        assert f"run `vividface weights fetch {weights}`" in table.loc[name, "reason"]
    # The networks of the others come with the package.
    for name in ("akd", "akd_68"):
        assert table.loc[name, "reason"] == "no face is found in the ground truth"


def test_bad_input_is_named(moving_frames, tmp_path):
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    write_clip(tmp_path / "b.mkv", moving_frames[:8], 25)
    a, b = tmp_path / "a.mkv", tmp_path / "b.mkv"
    with pytest.raises(
        InputError, match=r"a\.mkv: has 9 frames, but .*b\.mkv, which it is compared with, has 8"
    ):
        measured({"a": a}, {"a": b}, metrics=["psnr_rgb"])
    with pytest.raises(InputError, match=r"evaluation\.metrics: sharpness is not known; known are akd,"):
        measured({"a": a}, metrics=["sharpness"])
    (tmp_path / "faces.safetensors").write_bytes(b"not faces")
    with pytest.raises(InputError, match=r"faces\.safetensors: does not hold a benchmark's faces"):
        measured({"a": a}, {"a": a}, metrics=["akd_68"], benchmark_faces=tmp_path / "faces.safetensors")


def test_processes_measure_what_one_does(moving_frames, tmp_path):
    clips = {}
    for name in "abc":
        clips[name] = tmp_path / f"{name}.mkv"
        write_clip(clips[name], np.roll(moving_frames, ord(name), axis=2), 25)
    reference = dict.fromkeys(clips, clips["a"])
    alone = measured(clips, reference, metrics=["psnr_rgb", "ssim_y"])
    together = measured(clips, reference, metrics=["psnr_rgb", "ssim_y"], num_processes=2)
    pd.testing.assert_frame_equal(alone, together)
    assert list(alone["clip_id"]) == ["a", "a", "b", "b", "c", "c"]
    with pytest.raises(InputError, match="has 5 frames"):
        write_clip(clips["b"], moving_frames[:5], 25)
        measured(clips, reference, metrics=["psnr_rgb"], num_processes=2)


PARENT = """
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from vividface.config import FacesConfig
from vividface.evaluation import measure

if __name__ == "__main__":
    measuring = measure.Measuring(metrics=["psnr_rgb"], faces_config=FacesConfig.of_backend("mediapipe"))
    with ProcessPoolExecutor(1, get_context("spawn"), measure._start, (measuring, 1)) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(100_000)
"""


def test_a_process_ends_with_the_one_that_was_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, tmp_path / "parent.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        process = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    def has_ended():
        with suppress(psutil.NoSuchProcess):
            return process.status() == psutil.STATUS_ZOMBIE
        return True

    wait_until(has_ended)


def test_results_of_several_methods_are_compared_at_their_own_places_in_time(tmp_path):
    texture = np.random.default_rng(0).integers(0, 256, (12, 40, 3), dtype=np.uint8)
    wide = cv2.resize(texture, (400, 96), interpolation=cv2.INTER_CUBIC)
    true = np.stack([wide[:, 4 * index : 4 * index + 96] for index in range(20)])
    for name, shown in {"true": true, "same": true, "late": true[[0, 0, *range(18)]]}.items():
        write_clip(tmp_path / f"{name}.mkv", shown, 25)
    clip = RestoredClip(
        clip_id="a",
        results={name: Footage(tmp_path / f"{name}.mkv") for name in ("same", "late")},
        reference=Footage(tmp_path / "true.mkv"),
        offsets={"late": 2},
    )
    table = measure_clips([clip], Measuring(metrics=["psnr_rgb", "fvd_pair"], faces_config=FACES))
    psnr = table[table["metric"] == "psnr_rgb"].set_index("method")["value"]
    assert dict(psnr) == pytest.approx({"same": 80, "late": 80})
    with pytest.raises(InputError, match=r"late\.mkv: fits .* best 2 frames late; .* --align late/a=2"):
        measure_clips([replace(clip, offsets={})], Measuring(metrics=["psnr_rgb"], faces_config=FACES))
