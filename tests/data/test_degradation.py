"""The degradation models: what is drawn, and what it does to clips."""

import dataclasses
from fractions import Fraction

import cv2
import numpy as np
import pandas as pd
import pytest

from vividface.config import DegradationConfig
from vividface.data import degradation
from vividface.data.degradation import (
    DegradationParameters,
    corruption,
    degrade_clip,
    degrade_shard,
    draw_parameters,
    gaussian_kernel,
)
from vividface.errors import InputError
from vividface.files import sha256
from vividface.video import ffmpeg_version, probe, read_clip, write_clip

RANGES = {"sigma": (0.1, 10), "scale": (1, 4), "noise": (0, 10), "crf": (18, 25)}
KEEP = {
    "kernel_size": 21,
    "sigma": (0.5, 5),
    "isotropic": 0.7,
    "scale": (4, 4),
    "interpolations": {"area": 1, "linear": 1, "cubic": 2},
    "noise": (0, 10),
    "grey": 0.5,
    "crf": (18, 24),
}
CONFIG = DegradationConfig(
    model="vividface", codec="libx264", encoder_preset="medium", vividface=RANGES, keep=KEEP
)
KEEP_CONFIG = CONFIG.model_copy(update={"model": "keep"})
LUMA = np.array([0.299, 0.587, 0.114])  # of BT.601
MILD = DegradationParameters(
    model="vividface",
    seed=7,
    sigma=0.1,
    sigma_y=0.1,
    angle=0.0,
    scale=1.0,
    interpolation="area",
    noise=0.0,
    crf=0,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Nine frames of a coloured texture that moves."""
    base = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    texture = cv2.resize(base, (160, 160), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([texture[i : i + 96, i : i + 96] for i in range(9)])
    path = tmp_path_factory.mktemp("degradation") / "clip.mkv"
    write_clip(path, frames, Fraction(30000, 1001))
    return path


def degraded(source, tmp_path, **changes):
    destination = tmp_path / "lq.mkv"
    degrade_clip(source, destination, parameters=dataclasses.replace(MILD, **changes), config=CONFIG)
    info = probe(source)
    return read_clip(destination, size=(info.width, info.height)).astype(np.float64)


def sharpness(frames):
    return np.mean([cv2.Laplacian(frame @ LUMA, cv2.CV_64F).var() for frame in frames])


def psnr(first, second):
    return 10 * np.log10(255**2 / np.mean((first - second) ** 2))


def test_parameters_are_drawn_from_seed_and_clip_alone():
    assert draw_parameters(CONFIG, seed=42, clip_id="a-000000") == draw_parameters(
        CONFIG, seed=42, clip_id="a-000000"
    )
    drawn = [
        draw_parameters(CONFIG, seed=seed, clip_id=clip)
        for seed in (1, 2)
        for clip in ("a-000000", "a-000081")
    ]
    assert len({parameters.sigma for parameters in drawn}) == 4
    assert len({parameters.seed for parameters in drawn}) == 4


def test_parameters_fill_their_ranges_uniformly():
    drawn = pd.DataFrame(
        dataclasses.asdict(draw_parameters(CONFIG, seed=0, clip_id=f"clip-{i}")) for i in range(2000)
    )
    for name in ("sigma", "scale", "noise", "crf"):
        low, high = RANGES[name]
        assert drawn[name].between(low, high).all()
        assert drawn[name].mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
        assert drawn[name].min() <= low + 0.01 * (high - low)
        assert drawn[name].max() >= high - 0.01 * (high - low)
    assert set(drawn["crf"]) == set(range(18, 26))


def test_the_mildest_degradation_leaves_the_picture_and_its_colours(source, tmp_path):
    original = read_clip(source).astype(np.float64)
    result = degraded(source, tmp_path)
    assert result.shape == original.shape
    # On luma, since 4:2:0 halves the resolution of colours.
    assert psnr(original @ LUMA, result @ LUMA) > 40
    np.testing.assert_allclose(result.mean(axis=(0, 1, 2)), original.mean(axis=(0, 1, 2)), atol=1.5)
    assert probe(tmp_path / "lq.mkv").fps == probe(source).fps


def test_blur_and_downsampling_reduce_sharpness_monotonically(source, tmp_path):
    # The texture is smooth over five pixels, of which down-sampling by four leaves about half.
    for name, values, left in (("sigma", [0.1, 1.0, 3.0, 8.0], 0.1), ("scale", [1.0, 1.7, 2.5, 4.0], 0.6)):
        results = [sharpness(degraded(source, tmp_path, **{name: value})) for value in values]
        assert results == sorted(results, reverse=True)
        assert results[-1] < left * results[0]


def test_fidelity_falls_with_noise_and_crf(source, tmp_path):
    original = read_clip(source).astype(np.float64)
    for name, values in (("noise", [0.0, 3.0, 10.0]), ("crf", [0, 18, 25, 40])):
        results = [psnr(original, degraded(source, tmp_path, **{name: value})) for value in values]
        assert results == sorted(results, reverse=True)


def test_noise_has_its_standard_deviation_and_is_new_in_every_frame(tmp_path):
    write_clip(tmp_path / "grey.mkv", np.full((5, 128, 128, 3), 128, np.uint8), 25)
    result = degraded(tmp_path / "grey.mkv", tmp_path, noise=8.0)
    # Luma, which crf 0 keeps; independent noise in R, G and B averages out to 0.67 of its level there.
    luma = result @ LUMA
    assert luma.std() == pytest.approx(8 * np.linalg.norm(LUMA), rel=0.1)
    adjacent = np.corrcoef(luma[0].ravel(), luma[1].ravel())[0, 1]
    assert abs(adjacent) < 0.05


def test_the_picture_is_not_shifted(source, tmp_path):
    original = read_clip(source) @ LUMA
    result = degraded(source, tmp_path, scale=2.3) @ LUMA
    shift, _ = cv2.phaseCorrelate(original[0], result[0])
    assert np.hypot(*shift) < 0.1


@pytest.mark.parametrize(("width", "height"), [(97, 63), (33, 96)])
def test_odd_sizes_are_encoded_even_and_read_back(tmp_path, width, height):
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    write_clip(tmp_path / "odd.mkv", frames, 25)
    assert degraded(tmp_path / "odd.mkv", tmp_path, scale=2.9, sigma=2.0).shape == frames.shape
    info = probe(tmp_path / "lq.mkv")
    assert (info.width, info.height) == (2 * round(width / 5.8), 2 * round(height / 5.8))


def test_the_same_seed_gives_the_same_bytes(source, tmp_path):
    parameters = draw_parameters(CONFIG, seed=42, clip_id="clip-000000")
    for name in ("first", "second"):
        degrade_clip(source, tmp_path / f"{name}.mkv", parameters=parameters, config=CONFIG)
    assert sha256(tmp_path / "first.mkv") == sha256(tmp_path / "second.mkv")
    other = dataclasses.replace(parameters, seed=parameters.seed + 1)
    degrade_clip(source, tmp_path / "other.mkv", parameters=other, config=CONFIG)
    assert sha256(tmp_path / "other.mkv") != sha256(tmp_path / "first.mkv")


def test_a_shard_is_the_same_whatever_the_number_of_threads(source, tmp_path):
    hq = tmp_path / "hq"
    hq.mkdir()
    clips = pd.DataFrame({"clip_id": [f"v-{i:06d}" for i in range(3)]})
    for clip in clips["clip_id"]:
        (hq / f"{clip}.mkv").write_bytes(source.read_bytes())
    one = degrade_shard(clips, CONFIG, seed=42, hq_dir=hq, lq_dir=tmp_path / "one")
    two = degrade_shard(clips.iloc[::-1], CONFIG, seed=42, hq_dir=hq, lq_dir=tmp_path / "two", threads=2)
    drawn = ["model", "seed", "sigma", "sigma_y", "angle", "scale", "interpolation", "noise", "crf"]
    assert list(one.columns) == ["clip_id", "draw", *drawn, "codec", "encoder_preset", "ffmpeg"]
    assert set(one["ffmpeg"]) == {ffmpeg_version()}
    assert set(one["encoder_preset"]) == {"medium"}
    pd.testing.assert_frame_equal(one, two.iloc[::-1].reset_index(drop=True))
    sums = {path.name: sha256(path) for path in (tmp_path / "one").iterdir()}
    assert sums == {path.name: sha256(path) for path in (tmp_path / "two").iterdir()}
    assert len(set(sums.values())) == 3


def test_a_clip_may_have_several_degradations(source, tmp_path):
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "v-000000.mkv").write_bytes(source.read_bytes())
    clips = pd.DataFrame({"clip_id": ["v-000000"]})
    one = degrade_shard(clips, CONFIG, seed=42, hq_dir=tmp_path / "hq", lq_dir=tmp_path / "one")
    table = degrade_shard(
        clips, CONFIG, seed=42, hq_dir=tmp_path / "hq", lq_dir=tmp_path / "three", num_draws=3
    )
    assert list(table["draw"]) == [0, 1, 2]
    assert table["sigma"].nunique() == 3
    pd.testing.assert_frame_equal(table.iloc[:1], one)
    names = ["v-000000.draw-1.mkv", "v-000000.draw-2.mkv", "v-000000.mkv"]
    assert sorted(path.name for path in (tmp_path / "three").iterdir()) == names
    sums = [sha256(tmp_path / "three" / name) for name in names]
    assert len(set(sums)) == 3
    assert sums[2] == sha256(tmp_path / "one" / "v-000000.mkv"), "the first is that of a single one"
    again = draw_parameters(CONFIG, seed=42, clip_id="v-000000", draw=2)
    degrade_clip(source, tmp_path / "again.mkv", parameters=again, config=CONFIG)
    assert sums[1] == sha256(tmp_path / "again.mkv"), "any one can be made again alone"


def test_an_empty_shard_and_a_missing_clip(tmp_path):
    none = pd.DataFrame({"clip_id": pd.Series([], dtype=str)})
    table = degrade_shard(none, CONFIG, seed=0, hq_dir=tmp_path, lq_dir=tmp_path / "lq")
    assert table.empty
    assert "sigma" in table.columns
    assert list((tmp_path / "lq").iterdir()) == []
    gone = pd.DataFrame({"clip_id": ["gone-000000"]})
    with pytest.raises(InputError, match=r"gone-000000\.mkv"):
        degrade_shard(gone, CONFIG, seed=0, hq_dir=tmp_path, lq_dir=tmp_path / "failed")
    assert not (tmp_path / "failed").exists()


def moments(kernel):
    """Standard deviations along x and y, and the covariance, of a kernel in px."""
    ys, xs = np.mgrid[: len(kernel), : len(kernel)] - (len(kernel) - 1) / 2
    return (kernel * xs**2).sum() ** 0.5, (kernel * ys**2).sum() ** 0.5, (kernel * xs * ys).sum()


def test_kernels_are_what_their_parameters_say():
    round_one = gaussian_kernel(41, sigma_x=3, sigma_y=3, angle=0.7)
    assert round_one.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(moments(round_one), (3, 3, 0), atol=0.01)
    np.testing.assert_allclose(
        moments(gaussian_kernel(41, sigma_x=4, sigma_y=2, angle=0)), (4, 2, 0), atol=0.01
    )
    np.testing.assert_allclose(
        moments(gaussian_kernel(41, sigma_x=4, sigma_y=2, angle=np.pi / 2)), (2, 4, 0), atol=0.01
    )
    assert moments(gaussian_kernel(41, sigma_x=4, sigma_y=2, angle=np.pi / 4))[2] > 3


def test_keeps_parameters_follow_their_shares():
    drawn = pd.DataFrame(
        dataclasses.asdict(draw_parameters(KEEP_CONFIG, seed=0, clip_id=f"c{i}")) for i in range(2000)
    )
    assert set(drawn["model"]) == {"keep"}
    isotropic = drawn["sigma"] == drawn["sigma_y"]
    assert isotropic.mean() == pytest.approx(0.7, abs=0.03)
    assert (drawn.loc[isotropic, "angle"] == 0).all()
    assert drawn.loc[~isotropic, "angle"].between(-np.pi, np.pi).all()
    assert drawn["interpolation"].value_counts(normalize=True)["cubic"] == pytest.approx(0.5, abs=0.04)
    assert drawn["noise"].isna().all()
    assert set(drawn["crf"]) == set(range(18, 25))
    assert set(drawn["scale"]) == {4.0}


def test_keep_redraws_level_and_colour_of_its_noise_in_every_frame():
    parameters = dataclasses.replace(
        draw_parameters(KEEP_CONFIG, seed=0, clip_id="a"), sigma=1.0, sigma_y=1.0
    )
    corrupt = corruption(parameters, KEEP_CONFIG, width=64, height=64)
    frame = np.full((256, 256, 3), 128, np.uint8)
    results = np.stack([corrupt(frame) for _ in range(200)]).astype(np.float64) - 128
    levels = results.std(axis=(1, 2, 3))
    assert levels.min() < 1.5
    assert levels.max() > 8
    grey = [np.abs(result - result.mean(axis=2, keepdims=True)).max() == 0 for result in results]
    # Grey only if both of its noises are.
    assert np.mean(grey) == pytest.approx(0.25, abs=0.1)


def test_keep_is_reproducible_and_four_times_smaller(source, tmp_path):
    parameters = draw_parameters(KEEP_CONFIG, seed=42, clip_id="clip-000000")
    for name in ("first", "second"):
        degrade_clip(source, tmp_path / f"{name}.mkv", parameters=parameters, config=KEEP_CONFIG)
    assert sha256(tmp_path / "first.mkv") == sha256(tmp_path / "second.mkv")
    assert read_clip(tmp_path / "first.mkv").shape == (9, 24, 24, 3)
    result, original = read_clip(tmp_path / "first.mkv", size=(96, 96)), read_clip(source)
    assert sharpness(result) < 0.5 * sharpness(original)


def test_a_model_without_its_section_is_refused():
    with pytest.raises(ValueError, match="model: keep is chosen, but its section is missing"):
        DegradationConfig(model="keep", codec="libx264", encoder_preset="medium", vividface=RANGES)
    with pytest.raises(ValueError, match="4 is even"):
        DegradationConfig(**{**CONFIG.model_dump(), "keep": {**KEEP, "kernel_size": 4}})


def test_memory_does_not_grow_with_the_clip(tmp_path, frames_alive):
    most = frames_alive(degradation)
    write_clip(tmp_path / "long.mkv", np.zeros((300, 32, 32, 3), np.uint8), 25)
    degrade_clip(tmp_path / "long.mkv", tmp_path / "lq.mkv", parameters=MILD, config=CONFIG)
    assert probe(tmp_path / "lq.mkv").num_frames == 300
    assert 0 < most[-1] <= 2
