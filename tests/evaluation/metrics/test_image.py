"""The image metrics."""

import cv2
import numpy as np
import pytest
import torch

from vividface.evaluation.metrics import METRICS, Clip, NotMeasurableError
from vividface.evaluation.metrics.base import as_tensor
from vividface.video import read_clip
from vividface.weights.cache import weights_path

IMAGE_METRICS = [
    "psnr_rgb",
    "ssim_y",
    "ssim_ycbcr",
    "ssim_rgb",
    "lpips_alex",
    "lpips_vgg",
    "dists",
    "dists_256",
]


def noisy(frames, sigma=12.0):
    noise = np.random.default_rng(0).normal(0, sigma, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_equal_frames_have_the_best_value(name, moving_frames, fetched):
    if name.startswith(("lpips", "dists")):
        fetched(name.removesuffix("_256"))
    best = {"psnr_rgb": 80.0, "ssim_y": 1.0, "ssim_ycbcr": 1.0, "ssim_rgb": 1.0}.get(name, 0.0)
    metric = METRICS[name]()
    value = metric.measure(Clip(frames=moving_frames, reference=moving_frames))
    assert value == pytest.approx(best, abs=1e-5)
    worse = metric.measure(Clip(frames=noisy(moving_frames), reference=moving_frames))
    assert worse < value - 0.01 if metric.better == "higher" else worse > value + 0.01


def test_psnr_is_the_mean_over_frames():
    reference = np.full((2, 32, 32, 3), 100, np.uint8)
    frames = reference + np.array([10, 20], np.uint8)[:, None, None, None]
    expected = np.mean([20 * np.log10(255 / error) for error in (10, 20)])
    assert METRICS["psnr_rgb"]().measure(Clip(frames=frames, reference=reference)) == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize(("name", "luma"), [("ssim_y", True), ("ssim_rgb", False)])
def test_ssim_equals_pyiqas(name, luma, moving_frames):
    from pyiqa.archs.ssim_arch import SSIM

    clip = Clip(frames=noisy(moving_frames), reference=moving_frames)
    expected = SSIM(downsample=False, test_y_channel=luma)(
        as_tensor(clip.frames), as_tensor(clip.reference)
    ).mean()
    assert METRICS[name]().measure(clip) == pytest.approx(float(expected), abs=1e-6)


def basicsr_ssim(a, b):
    """SSIM of two frames (H, W, 3) uint8 on Y of YCbCr, written out as in BasicSR's publication."""
    a, b = ((frame / 255) @ np.array([65.481, 128.553, 24.966]) + 16 for frame in (a, b))
    kernel = cv2.getGaussianKernel(11, 1.5)

    def smooth(image):
        return cv2.filter2D(image, -1, kernel @ kernel.T)[5:-5, 5:-5]

    mean_a, mean_b = smooth(a), smooth(b)
    covariance = smooth(a * b) - mean_a * mean_b
    variances = smooth(a * a) - mean_a**2 + smooth(b * b) - mean_b**2
    c1, c2 = 0.01 * 255, 0.03 * 255
    luminance = (2 * mean_a * mean_b + c1**2) / (mean_a**2 + mean_b**2 + c1**2)
    return (luminance * (2 * covariance + c2**2) / (variances + c2**2)).mean()


def test_ssim_ycbcr_equals_basicsrs(moving_frames):
    other = noisy(moving_frames)
    other[:3] = 255 - other[:3]
    expected = np.mean([basicsr_ssim(a, b) for a, b in zip(other, moving_frames, strict=True)])
    clip = Clip(frames=other, reference=moving_frames)
    assert METRICS["ssim_ycbcr"]().measure(clip) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_a_published_result(shared):
    folder = shared / "faces" / "bench"
    frames, reference = (read_clip(folder / f"VFHQ-Test_1_{name}.mp4", 0, 3) for name in ("DicFace", "GT"))
    values = [
        METRICS[n]().measure(Clip(frames=frames, reference=reference)) for n in ("ssim_y", "ssim_ycbcr")
    ]
    assert values == pytest.approx([0.9269, 0.9401], abs=1e-4)


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_lpips_equals_its_definition(backbone, shared, moving_frames, fetched):
    """Written out anew, with a backbone from another file."""
    from torchvision import models

    fetched(f"lpips_{backbone}")
    builder, file = {"alex": ("alexnet", "alexnet"), "vgg": ("vgg16", "vgg16")}[backbone]
    network = getattr(models, builder)(weights=None)
    path = shared / "weights" / f"{file}_features_torchvision.pth"
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"), strict=False)
    heads = list(
        torch.load(weights_path(f"lpips_{backbone}_heads"), weights_only=True, map_location="cpu").values()
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

    clip = Clip(frames=noisy(moving_frames), reference=moving_frames)
    with torch.inference_mode():
        pairs = zip(features(as_tensor(clip.frames)), features(as_tensor(clip.reference)), heads, strict=True)
        expected = sum(((a - b) ** 2 * head).sum(dim=1).mean() for a, b, head in pairs)
    assert METRICS[f"lpips_{backbone}"]().measure(clip) == pytest.approx(float(expected), rel=1e-4)


def test_dists_weights_equal_the_authors(shared, fetched):
    fetched("dists")
    ours = torch.load(weights_path("dists_weights"), weights_only=True, map_location="cpu")
    theirs = torch.load(shared / "weights" / "dists_weights.pt", weights_only=True, map_location="cpu")
    network = METRICS["dists"]()._network
    for name in ("alpha", "beta"):
        assert torch.equal(ours[name], theirs[name])
        assert torch.equal(getattr(network, name), theirs[name])


def test_dists_256_compares_what_pillow_resizes(fetched):
    from PIL import Image

    fetched("dists")
    generator = np.random.default_rng(0)
    reference = cv2.GaussianBlur(generator.integers(0, 256, (300, 400, 3), dtype=np.uint8), (0, 0), 2)[None]
    frames = noisy(reference, 20)
    # Torchvision's own resizing of an image: 256 px for the shorter side, 341 for the longer.
    small = [
        np.asarray(Image.fromarray(images[0]).resize((341, 256), Image.Resampling.BILINEAR))[None]
        for images in (frames, reference)
    ]
    expected = METRICS["dists"]().measure(Clip(frames=small[0], reference=small[1]))
    metric = METRICS["dists_256"]()
    value = metric.measure(Clip(frames=frames, reference=reference))
    assert value == pytest.approx(expected, abs=1e-3)
    assert abs(value - METRICS["dists"]().measure(Clip(frames=frames, reference=reference))) > 0.01
    assert metric.measure(Clip(frames=small[0], reference=small[1])) == pytest.approx(expected, abs=1e-6)


def test_niqe_parameters_equal_pyiqas_and_rank_damage(shared, fetched):
    from scipy.io import loadmat

    fetched("niqe")
    ours = loadmat(weights_path("niqe_parameters"))
    theirs = loadmat(shared / "weights" / "niqe_modelparameters.mat")
    for name in ("mu_prisparam", "cov_prisparam"):
        assert np.array_equal(ours[name], theirs[name])
    clean = read_clip(shared / "faces" / "bench" / "HDTF_1_GT.mp4", 0, 1)
    blurred = cv2.GaussianBlur(clean[0], (0, 0), 4)[None]
    metric = METRICS["niqe"]()
    values = [
        metric.measure(Clip(frames=frames, reference=None)) for frames in (clean, blurred, noisy(clean, 30))
    ]
    assert 2 < values[0] < 7
    assert values[1] > values[0] + 2
    assert values[2] > values[0] + 2


def test_niqe_has_no_value_for_tiny_frames(moving_frames, fetched):
    fetched("niqe")
    with pytest.raises(NotMeasurableError, match="NIQE needs frames of 96 px, these are 64x64"):
        METRICS["niqe"]().measure(Clip(frames=moving_frames, reference=None))


def test_niqe_has_no_value_where_a_frame_is_of_one_colour(fetched):
    fetched("niqe")
    frames = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    frames[1] = 0
    with pytest.raises(NotMeasurableError, match="niqe is not a number for these frames"):
        METRICS["niqe"]().measure(Clip(frames=frames, reference=None))


@pytest.fixture
def clip(monkeypatch):
    """Three frames, which are measured one by one."""
    monkeypatch.setattr("vividface.evaluation.metrics.image._CHUNK_PIXELS", 1)
    true = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    true = np.stack([cv2.resize(frame, (100, 100), interpolation=cv2.INTER_CUBIC) for frame in true])
    return Clip(frames=noisy(true), reference=true)


@pytest.mark.parametrize(
    "name", ["dists", "dists_256", "lpips_alex", "lpips_vgg", "psnr_rgb", "ssim_y", "niqe"]
)
def test_results_measured_together_have_the_values_they_have_alone(clip, name, fetched):
    for group in ("dists", "lpips_alex", "lpips_vgg", "niqe"):
        fetched(group)
    brighter = np.minimum(clip.frames.astype(int) + 9, 255).astype(np.uint8)
    clips = [clip, Clip(frames=brighter, reference=clip.reference)]
    metric = METRICS[name]()
    assert metric.measure_all(clips) == [metric.measure(each) for each in clips]


def test_the_references_features_are_found_once_for_all_results(clip, fetched):
    fetched("dists")
    metric = METRICS["dists"]()
    seen = []
    compute = metric._features[0]._compute
    metric._features[0]._compute = lambda batch: seen.append(len(batch)) or compute(batch)
    clips = [Clip(frames=clip.frames.copy(), reference=clip.reference) for _ in range(3)]
    metric.measure_all(clips)
    assert sum(seen) == 4 * len(clip.frames)
    assert metric._features[0]._known == []
