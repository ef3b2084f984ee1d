import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from vividface.assets import fetch_group
from vividface.config import FacesConfig
from vividface.errors import InputError
from vividface.evaluation.measure import bootstrap_interval, measure_clips, write_reference_faces
from vividface.evaluation.metrics import (
    METRICS,
    UNAVAILABLE,
    Clip,
    NotMeasurableError,
    direction,
    load_metrics,
)
from vividface.evaluation.metrics.faces import ClipFaces, FaceReader, load_faces
from vividface.evaluation.metrics.mesh import FaceMesh, RefinedFaceMesh
from vividface.faces.backend import load_backend
from vividface.video import read_clip, write_clip

FACES = FacesConfig(backend="dlib", detection_size=640)
IMAGE_METRICS = ["psnr_rgb", "ssim_y", "ssim_rgb", "lpips_alex", "lpips_vgg", "dists"]
# MediaPipe 0.10.14's own answer (solutions.face_mesh, settled on the frame) for frame 0 of HDTF_1_GT.mp4.
MEDIAPIPE = {
    RefinedFaceMesh: {
        1: (300.92, 201.23),
        33: (264.7, 159.0),
        263: (363.26, 166.09),
        61: (272.87, 239.75),
        14: (299.67, 241.77),
        159: (277.09, 153.52),
        152: (298.26, 294.48),
        468: (280.8, 159.05),
        473: (350.88, 163.91),
    },
    FaceMesh: {
        1: (301.44, 199.42),
        33: (263.12, 157.4),
        263: (364.85, 165.84),
        61: (275.18, 237.71),
        14: (300.91, 240.42),
        159: (276.82, 152.57),
        152: (298.06, 294.3),
    },
}


def fetched(group):
    try:
        fetch_group(group)
    except InputError as error:
        pytest.skip(f"the weights of {group} are not to be had here: {error}")


def noisy(frames, sigma=12.0):
    noise = np.random.default_rng(0).normal(0, sigma, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def synthetic_faces(count=5, found=None):
    """A face that moves by (1, 0) px a frame, with random identities."""
    generator = np.random.default_rng(1)
    steps = np.arange(count, dtype=np.float32)[:, None, None] * (1, 0)
    features = {
        f"mesh_{points}": (generator.uniform(20, 80, (1, points, 2)) + steps).astype(np.float32)
        for points in (468, 478)
    }
    identity = generator.normal(size=(count, 128)).astype(np.float32)
    features["identity"] = identity / np.linalg.norm(identity, axis=1, keepdims=True)
    landmarks = (generator.uniform(20, 80, (1, 68, 2)) + steps).astype(np.float32)
    boxes = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    return ClipFaces(boxes, landmarks, np.ones(count, bool) if found is None else np.array(found), features)


def shifted(faces, offset):
    meshes = {name: faces.features[name] + np.float32(offset) for name in ("mesh_468", "mesh_478")}
    return replace(faces, landmarks=faces.landmarks + np.float32(offset), features=faces.features | meshes)


def clip_of(faces, truth):
    frames = np.zeros((len(faces.found), 100, 200, 3), np.uint8)
    return Clip(frames, frames, faces, truth)


# --- images


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_equal_frames_have_the_best_value(name, moving_frames):
    if name.startswith(("lpips", "dists")):
        fetched(name)
    best = {"psnr_rgb": 80.0, "ssim_y": 1.0, "ssim_rgb": 1.0}.get(name, 0.0)
    metric = METRICS[name]()
    value = metric.measure(Clip(moving_frames, moving_frames))
    assert value == pytest.approx(best, abs=1e-5)
    worse = metric.measure(Clip(noisy(moving_frames), moving_frames))
    assert worse < value - 0.01 if metric.better == "higher" else worse > value + 0.01


def test_psnr_is_the_mean_over_frames():
    truth = np.full((2, 32, 32, 3), 100, np.uint8)
    frames = truth + np.array([10, 20], np.uint8)[:, None, None, None]
    expected = np.mean([20 * np.log10(255 / error) for error in (10, 20)])
    assert METRICS["psnr_rgb"]().measure(Clip(frames, truth)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("name", "luma"), [("ssim_y", True), ("ssim_rgb", False)])
def test_ssim_equals_pyiqas(name, luma, moving_frames):
    from pyiqa.archs.ssim_arch import SSIM

    clip = Clip(noisy(moving_frames), moving_frames)
    expected = SSIM(downsample=False, test_y_channel=luma)(clip.tensor, clip.reference_tensor).mean()
    assert METRICS[name]().measure(clip) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_lpips_equals_its_definition(backbone, shared, moving_frames):
    """Written out anew, with a backbone from another file."""
    from torchvision import models

    fetched(f"lpips_{backbone}")
    from vividface.assets import asset_path

    builder, file = {"alex": ("alexnet", "alexnet"), "vgg": ("vgg16", "vgg16")}[backbone]
    network = getattr(models, builder)(weights=None)
    path = shared / "weights" / f"{file}_features_torchvision.pth"
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"), strict=False)
    heads = list(
        torch.load(asset_path(f"lpips_{backbone}_heads"), weights_only=True, map_location="cpu").values()
    )
    taps = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}[backbone]
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)

    def features(image):
        x, kept = (2 * image - 1 - shift) / scale, []
        for index, layer in enumerate(network.features):
            x = layer(x)
            if index in taps:
                kept.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
        return kept

    clip = Clip(noisy(moving_frames), moving_frames)
    with torch.inference_mode():
        pairs = zip(features(clip.tensor), features(clip.reference_tensor), heads, strict=True)
        expected = sum(((a - b) ** 2 * head).sum(dim=1).mean() for a, b, head in pairs)
    assert METRICS[f"lpips_{backbone}"]().measure(clip) == pytest.approx(float(expected), rel=1e-4)


def test_dists_weights_equal_the_authors(shared):
    fetched("dists")
    from vividface.assets import asset_path

    ours = torch.load(asset_path("dists_weights"), weights_only=True, map_location="cpu")
    theirs = torch.load(shared / "weights" / "dists_weights.pt", weights_only=True, map_location="cpu")
    network = METRICS["dists"]()._network
    for name in ("alpha", "beta"):
        assert torch.equal(ours[name], theirs[name])
        assert torch.equal(getattr(network, name), theirs[name])


def test_niqe_parameters_equal_pyiqas_and_rank_damage(shared):
    from scipy.io import loadmat

    fetched("niqe")
    from vividface.assets import asset_path

    ours = loadmat(asset_path("niqe_parameters"))
    theirs = loadmat(shared / "weights" / "niqe_modelparameters.mat")
    for name in ("mu_prisparam", "cov_prisparam"):
        assert np.array_equal(ours[name], theirs[name])
    clean = read_clip(shared / "faces" / "bench" / "HDTF_1_GT.mp4", 0, 1)
    blurred = cv2.GaussianBlur(clean[0], (0, 0), 4)[None]
    metric = METRICS["niqe"]()
    values = [metric.measure(Clip(frames, None)) for frames in (clean, blurred, noisy(clean, 30))]
    assert 2 < values[0] < 7
    assert values[1] > values[0] + 2
    assert values[2] > values[0] + 2


def test_niqe_has_no_value_for_tiny_frames(moving_frames):
    fetched("niqe")
    with pytest.raises(NotMeasurableError, match="NIQE needs frames of 96 px, these are 64x64"):
        METRICS["niqe"]().measure(Clip(moving_frames, None))


# --- faces


def test_landmark_distances_are_in_units_of_the_frame():
    truth = synthetic_faces()
    clip = clip_of(shifted(truth, (2, 0)), truth)
    for name in ("akd", "akd_468", "akd_68"):
        assert METRICS[name]().measure(clip) == pytest.approx(1000 * 2 / 200, rel=1e-4)
    vertical = clip_of(shifted(truth, (0, 2)), truth)
    assert METRICS["akd"]().measure(vertical) == pytest.approx(1000 * 2 / 100, rel=1e-4)


def test_motion_counts_changes_of_place_not_places():
    truth = synthetic_faces()
    assert METRICS["tlme"]().measure(clip_of(shifted(truth, (7, 3)), truth)) == pytest.approx(0, abs=1e-3)
    frozen = np.repeat(truth.features["mesh_478"][:1], 5, axis=0)
    still = replace(truth, features=truth.features | {"mesh_478": frozen})
    assert METRICS["tlme"]().measure(clip_of(still, truth)) == pytest.approx(1000 / 200, rel=1e-4)
    assert METRICS["landmark_motion"]().measure(clip_of(still, truth)) == 0
    assert METRICS["landmark_motion"]().measure(clip_of(truth, truth)) == pytest.approx(5, rel=1e-4)


def test_identity_is_a_mean_of_cosines_over_all_frames():
    truth = synthetic_faces()
    identity = truth.features["identity"].copy()
    assert METRICS["ids_dlib"]().measure(clip_of(truth, truth)) == pytest.approx(1)
    identity[-1] *= -1
    flipped = replace(truth, features=truth.features | {"identity": identity})
    assert METRICS["ids_dlib"]().measure(clip_of(flipped, truth)) == pytest.approx(3 / 5)
    constant = np.repeat(identity[:1], 5, axis=0)
    steady = replace(truth, features=truth.features | {"identity": constant})
    assert METRICS["facecons_dlib"]().measure(clip_of(steady, truth)) == pytest.approx(1)
    expected = (identity[1:] @ identity[0]).mean()
    assert METRICS["facecons_dlib"]().measure(clip_of(flipped, truth)) == pytest.approx(expected)


def test_undetected_frames_do_not_count_as_perfect_landmarks():
    truth = synthetic_faces()
    restored = shifted(truth, (2, 0))
    landmarks = restored.landmarks.copy()
    landmarks[:3] = truth.landmarks[:3]
    partly = replace(restored, landmarks=landmarks, found=np.array([False] * 3 + [True] * 2))
    assert METRICS["akd_68"]().measure(clip_of(partly, truth)) == pytest.approx(10, rel=1e-4)


def test_reasons_why_a_clip_has_no_value():
    truth, lost = synthetic_faces(), synthetic_faces(found=[False] * 5)
    with pytest.raises(NotMeasurableError, match="no face is found in the clip"):
        METRICS["akd"]().measure(clip_of(lost, truth))
    few = replace(truth, landmarks=truth.landmarks[:, :5])
    with pytest.raises(NotMeasurableError, match="gives 5 landmarks, not 68"):
        METRICS["akd_68"]().measure(clip_of(few, few))
    with pytest.raises(NotMeasurableError, match="no face is found in the ground truth"):
        METRICS["ids_dlib"]().measure(clip_of(truth, lost))
    single = synthetic_faces(1)
    for name in ("tlme", "landmark_motion", "facecons_dlib"):
        with pytest.raises(NotMeasurableError, match="fewer than 2 frames"):
            METRICS[name]().measure(clip_of(single, single))


@pytest.mark.parametrize("network", [RefinedFaceMesh, FaceMesh])
def test_mesh_is_mediapipes(network, shared):
    fetched("facemesh")
    frame = read_clip(shared / "faces" / "bench" / "HDTF_1_GT.mp4", 0, 1)[0]
    face = load_backend(FACES).detect([frame])[0][0]
    mesh = network()
    points = mesh.fit(frame, face)
    expected = MEDIAPIPE[network]
    errors = np.linalg.norm(points[list(expected)] - np.array(list(expected.values())), axis=1)
    assert errors.max() < 0.25
    moved = mesh.fit(frame, replace(face, landmarks=face.landmarks + np.float32((4, -3))))
    assert np.linalg.norm(points - moved, axis=1).mean() < 0.1


# --- measuring


@pytest.fixture(scope="module")
def face_clips(shared, tmp_path_factory):
    """A restored clip and its truth, 6 frames of 128 px."""
    folder = tmp_path_factory.mktemp("clips")
    frames = read_clip(shared / "faces" / "bench" / "HDTF_1_GT.mp4", 0, 6)
    truth = np.stack([cv2.resize(frame, (128, 128), interpolation=cv2.INTER_AREA) for frame in frames])
    restored = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in truth])
    write_clip(folder / "truth.mkv", truth, 25)
    write_clip(folder / "restored.mkv", restored, 25)
    return {"face": folder / "restored.mkv"}, {"face": folder / "truth.mkv"}


def values_of(table):
    return table.set_index("metric")["value"]


def test_all_metrics_of_a_real_clip(face_clips, tmp_path, monkeypatch):
    for group in ("lpips_alex", "dists", "niqe", "facemesh"):
        fetched(group)
    restored, reference = face_clips
    names = [name for name in METRICS if name not in ("lpips_vgg", "ssim_rgb") and "irse50" not in name]
    write_reference_faces(reference, FACES, tmp_path / "faces.safetensors")
    held = load_faces(tmp_path / "faces.safetensors")["face"]
    assert held.found.all()
    assert {name: array.shape for name, array in held.features.items()} == {
        "identity": (6, 128),
        "mesh_478": (6, 478, 2),
        "mesh_468": (6, 468, 2),
    }
    read = []
    compute = FaceReader._compute

    def count(self, feature, frames, faces):
        read.extend([feature] * len(frames))
        return compute(self, feature, frames, faces)

    monkeypatch.setattr(FaceReader, "_compute", count)
    table = measure_clips(restored, reference, names, FACES, "dlib", tmp_path / "faces.safetensors")
    assert len(read) == 3 * 6
    values = values_of(table)
    assert (table["reason"] == "").all()
    assert 20 < values["psnr_rgb"] < 45
    assert 0.8 < values["ids_dlib"] < 1
    assert 0.9 < values["facecons_dlib"] <= 1
    assert 0 < values["akd"] < 10
    assert 0 < values["tlme"] < values["landmark_motion"] * 2
    again = values_of(measure_clips(restored, reference, ["ids", "akd"], FACES, "dlib"))
    assert again["akd"] == pytest.approx(values["akd"], rel=1e-5)
    assert again["ids_dlib"] == pytest.approx(values["ids_dlib"], rel=1e-5)


def test_without_truth_and_without_faces_reasons_are_given(moving_frames, tmp_path):
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    table = measure_clips(
        {"a": tmp_path / "a.mkv"}, None, ["psnr_rgb", "facecons", "akd_68", "fvd_set"], FACES, "dlib"
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
    names = ["psnr_rgb", "lpips_alex", "niqe", "akd", "akd_68"]
    table = measure_clips(clips, clips, names, FACES, "dlib").set_index("metric")
    assert table.loc["psnr_rgb", "value"] == pytest.approx(80)
    for name, asset in (
        ("lpips_alex", "alexnet_features"),
        ("niqe", "niqe_parameters"),
        ("akd", "facemesh_attention"),
    ):
        assert f"run `vividface assets fetch {asset}`" in table.loc[name, "reason"]
    assert table.loc["akd_68", "reason"] == "no face is found in the clip"


def test_bad_input_is_named(moving_frames, tmp_path):
    write_clip(tmp_path / "a.mkv", moving_frames, 25)
    write_clip(tmp_path / "b.mkv", moving_frames[:8], 25)
    a, b = tmp_path / "a.mkv", tmp_path / "b.mkv"
    with pytest.raises(
        InputError, match=r"a\.mkv: has frames, height and width \(9, 64, 64\), but its .*b\.mkv has \(8,"
    ):
        measure_clips({"a": a}, {"a": b}, ["psnr_rgb"], FACES, "dlib")
    with pytest.raises(InputError, match="a: is restored, but has no ground truth"):
        measure_clips({"a": a}, {"b": b}, ["psnr_rgb"], FACES, "dlib")
    with pytest.raises(InputError, match=r"evaluation\.metrics: sharpness is not known; known are akd,"):
        measure_clips({"a": a}, None, ["sharpness"], FACES, "dlib")
    (tmp_path / "faces.safetensors").write_bytes(b"not faces")
    with pytest.raises(InputError, match=r"faces\.safetensors: does not hold a benchmark's faces"):
        measure_clips({"a": a}, {"a": a}, ["akd_68"], FACES, "dlib", tmp_path / "faces.safetensors")


def test_configured_names_resolve_to_variants(monkeypatch, tmp_path):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    ready, missing = load_metrics(["ids", "facecons", "psnr_rgb", "musiq"], "dlib")
    assert list(ready) == ["ids_dlib", "facecons_dlib", "psnr_rgb"]
    assert list(missing) == ["musiq"]


def test_bootstrap_interval_of_a_mean():
    assert bootstrap_interval(np.full(7, 0.25), 100) == (0.25, 0.25)
    values = np.random.default_rng(3).normal(10, 2, 50)
    low, high = bootstrap_interval(values, 2000)
    error = 1.96 * values.std() / np.sqrt(50)
    assert low == pytest.approx(values.mean() - error, abs=0.15)
    assert high == pytest.approx(values.mean() + error, abs=0.15)
    assert (low, high) == bootstrap_interval(values, 2000)
    assert (low, high) != bootstrap_interval(values, 2000, seed=1)


def test_documentation_lists_every_variant(repository):
    text = (repository / "docs" / "metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))
    assert rows == {name: direction(name) for name in (*METRICS, *UNAVAILABLE)}
