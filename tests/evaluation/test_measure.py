"""Measuring clips on disk."""

import cv2
import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.errors import InputError
from vividface.evaluation.measure import measure_clips, write_reference_faces
from vividface.evaluation.metrics import METRICS, UNAVAILABLE
from vividface.evaluation.metrics.features import FaceReader, load_faces
from vividface.video import read_clip, write_clip

FACES = FacesConfig(backend="dlib", detection_size=640)


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
    names = [name for name in METRICS if name not in ("lpips_vgg", "ssim_rgb") and "irse50" not in name]
    write_reference_faces(reference, FACES, output=tmp_path / "faces.safetensors")
    stored = load_faces(tmp_path / "faces.safetensors")["face"]
    assert stored.found.all()
    assert {name: array.shape for name, array in stored.features.items()} == {
        "identity": (6, 128),
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
        reference_faces=tmp_path / "faces.safetensors",
    )
    assert len(features) == 3 * 6, "the reference's faces are not read again"
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


def test_without_a_reference_and_without_faces_reasons_are_given(moving_frames, tmp_path):
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    table = measure_clips(
        {"a": tmp_path / "a.mkv"},
        None,
        metrics=["psnr_rgb", "facecons", "akd_68", "fvd_set"],
        faces_config=FACES,
    )
    reasons = table.set_index("metric")["reason"]
    assert table["value"].isna().all()
    assert reasons["psnr_rgb"] == reasons["akd_68"] == "this benchmark has no ground truth"
    assert reasons["facecons_dlib"] == "no face is found in the clip"
    assert reasons["fvd_set"] == UNAVAILABLE["fvd_set"]


def test_missing_weights_are_reported_and_the_rest_is_measured(moving_frames, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "empty"))
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    clips = {"a": tmp_path / "a.mkv"}
    names = ["psnr_rgb", "lpips_alex", "niqe", "akd", "akd_468", "akd_68"]
    table = measure_clips(clips, clips, metrics=names, faces_config=FACES).set_index("metric")
    assert table.loc["psnr_rgb", "value"] == pytest.approx(80)
    for name, weights in (
        ("lpips_alex", "alexnet_features"),
        ("niqe", "niqe_parameters"),
        ("akd_468", "facemesh"),
    ):
        assert f"run `vividface weights fetch {weights}`" in table.loc[name, "reason"]
    # The networks of the others come with the package.
    for name in ("akd", "akd_68"):
        assert table.loc[name, "reason"] == "no face is found in the clip"


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
            reference_faces=tmp_path / "faces.safetensors",
        )
