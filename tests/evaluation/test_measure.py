"""Measuring clips on disk."""

import cv2
import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.errors import InputError
from vividface.evaluation.measure import measure_clips, write_benchmark_faces
from vividface.evaluation.metrics import METRICS
from vividface.evaluation.metrics.features import FaceReader, load_faces
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


def values_of(table):
    return table.set_index("metric")["value"]


def test_all_metrics_of_a_real_clip(face_clips, tmp_path, monkeypatch, fetched):
    for group in ("lpips_alex", "dists", "niqe", "facemesh"):
        fetched(group)
    restored, reference = face_clips
    names = [name for name in METRICS if name not in NOT_IN_PACKAGES and "irse50" not in name]
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
    table = measure_clips(
        restored,
        reference,
        metrics=names,
        faces_config=FACES,
        benchmark_faces=tmp_path / "faces.safetensors",
    )
    assert len(features) == 4 * 6, "the reference's faces are not read again"
    values = values_of(table)
    assert (table["reason"] == "").all()
    assert 20 < values["psnr_rgb"] < 45
    assert 0.8 < values["ids_dlib"] < 1
    assert 0.9 < values["facecons_dlib"] <= 1
    assert 0 < values["akd"] < 10
    assert 0 < values["tlme"] < values["landmark_motion"] * 2
    again = values_of(measure_clips(restored, reference, metrics=["ids", "akd"], faces_config=FACES))
    assert again["akd"] == pytest.approx(values["akd"], rel=1e-5)
    assert again["ids_dlib"] == pytest.approx(values["ids_dlib"], rel=1e-5)


def destroyed(path, output):
    """A clip without anything to see."""
    frames = read_clip(path)
    write_clip(output, np.random.default_rng(0).integers(0, 256, frames.shape, dtype=np.uint8), 25)
    return {"face": output}


def test_a_method_that_destroys_every_face_has_values_and_bad_ones(face_clips, tmp_path, fetched):
    fetched("facemesh")
    restored, reference = face_clips
    noise = destroyed(reference["face"], tmp_path / "noise.mkv")
    names = ["ids", "akd", "akd_468", "akd_68", "tlme", "facecons", "landmark_motion"]
    good, bad = (
        measure_clips(clips, reference, metrics=names, faces_config=FACES) for clips in (restored, noise)
    )
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
        (row,) = measure_clips(clips, None, metrics=["facecons"], faces_config=FACES, **places).to_dict(
            "records"
        )
        return row["value"], row["reason"]

    value, reason = facecons(noise)
    assert np.isnan(value)
    assert reason == "no face is found in the clip"
    inputs = {"face": tmp_path / "input.mkv"}
    value, reason = facecons(noise, inputs=inputs)
    assert reason == ""
    write_benchmark_faces(inputs, FACES, with_features=False, output=tmp_path / "faces.safetensors")
    assert load_faces(tmp_path / "faces.safetensors")["face"].features == {}
    assert facecons(noise, benchmark_faces=tmp_path / "faces.safetensors")[0] == pytest.approx(value)
    of_small = facecons(noise, inputs={"face": tmp_path / "small.mkv"})[0]
    assert of_small == pytest.approx(value, abs=0.05), "places of a smaller input are scaled"
    assert facecons(restored, inputs=inputs)[0] == pytest.approx(facecons(restored)[0], abs=1e-5)
    # Whether there is a value is the same for all methods: it depends on the input alone.
    assert facecons(restored, inputs=noise)[1] == "no face is found in the degraded input"
    write_clip(tmp_path / "short.mkv", frames[:4], 25)
    with pytest.raises(
        InputError, match=r"short\.mkv: has 4 frames, but the clip that was restored from it 6"
    ):
        facecons(restored, inputs={"face": tmp_path / "short.mkv"})
    with pytest.raises(InputError, match="face: is restored, but has no degraded input"):
        facecons(restored, inputs={})


def test_without_a_reference_and_without_faces_reasons_are_given(moving_frames, tmp_path):
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    table = measure_clips(
        {"a": tmp_path / "a.mkv"},
        None,
        metrics=["psnr_rgb", "facecons", "akd_68"],
        faces_config=FACES,
    )
    reasons = table.set_index("metric")["reason"]
    assert table["value"].isna().all()
    assert reasons["psnr_rgb"] == reasons["akd_68"] == "this benchmark has no ground truth"
    assert reasons["facecons_dlib"] == "no face is found in the clip"


def test_missing_weights_are_reported_and_the_rest_is_measured(moving_frames, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "empty"))
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    clips = {"a": tmp_path / "a.mkv"}
    names = ["psnr_rgb", "lpips_alex", "niqe", "akd", "akd_468", "akd_68", "fvd_set", "fvd_pair"]
    table = measure_clips(clips, clips, metrics=names, faces_config=FACES).set_index("metric")
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
        InputError, match=r"a\.mkv: has frames, height and width \(9, 64, 64\), but its .*b\.mkv has \(8,"
    ):
        measure_clips({"a": a}, {"a": b}, metrics=["psnr_rgb"], faces_config=FACES)
    with pytest.raises(InputError, match="a: is restored, but has no ground truth"):
        measure_clips({"a": a}, {"b": b}, metrics=["psnr_rgb"], faces_config=FACES)
    with pytest.raises(InputError, match=r"evaluation\.metrics: sharpness is not known; known are akd,"):
        measure_clips({"a": a}, None, metrics=["sharpness"], faces_config=FACES)
    (tmp_path / "faces.safetensors").write_bytes(b"not faces")
    with pytest.raises(InputError, match=r"faces\.safetensors: does not hold a benchmark's faces"):
        measure_clips(
            {"a": a},
            {"a": a},
            metrics=["akd_68"],
            faces_config=FACES,
            benchmark_faces=tmp_path / "faces.safetensors",
        )
