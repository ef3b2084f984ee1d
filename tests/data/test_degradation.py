import dataclasses
from fractions import Fraction

import cv2
import ffmpeg
import numpy as np
import pandas as pd
import pytest

from vividface.config import DegradationConfig
from vividface.data.degradation import DegradationParameters, degrade_clip, degrade_shard, draw_parameters
from vividface.errors import InputError
from vividface.files import sha256
from vividface.video import ffmpeg_executable, ffmpeg_version, probe, read_clip, write_clip

CONFIG = DegradationConfig(
    sigma=(0.1, 10), scale=(1, 4), noise=(0, 10), crf=(18, 25), codec="libx264", encoder_preset="medium"
)
LUMA = np.array([0.299, 0.587, 0.114])  # of BT.601
MILD = DegradationParameters(seed=7, sigma=0.1, scale=1.0, noise=0.0, crf=0)


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
    degrade_clip(source, destination, dataclasses.replace(MILD, **changes), CONFIG)
    return read_clip(destination).astype(np.float64)


def sharpness(frames):
    return np.mean([cv2.Laplacian(frame[..., 1], cv2.CV_64F).var() for frame in frames])


def psnr(first, second):
    return 10 * np.log10(255**2 / np.mean((first - second) ** 2))


def test_parameters_are_drawn_from_seed_and_clip_alone():
    assert draw_parameters(CONFIG, 42, "a-000000") == draw_parameters(CONFIG, 42, "a-000000")
    drawn = [draw_parameters(CONFIG, seed, clip) for seed in (1, 2) for clip in ("a-000000", "a-000081")]
    assert len({parameters.sigma for parameters in drawn}) == 4
    assert len({parameters.seed for parameters in drawn}) == 4


def test_parameters_fill_their_ranges_uniformly():
    drawn = pd.DataFrame(dataclasses.asdict(draw_parameters(CONFIG, 0, f"clip-{i}")) for i in range(2000))
    for name in ("sigma", "scale", "noise", "crf"):
        low, high = getattr(CONFIG, name)
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
    for name, values in (("sigma", [0.1, 1.0, 3.0, 8.0]), ("scale", [1.0, 1.7, 2.5, 4.0])):
        results = [sharpness(degraded(source, tmp_path, **{name: value})) for value in values]
        assert results == sorted(results, reverse=True)
        assert results[-1] < 0.3 * results[0]


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
    original = read_clip(source).astype(np.float64)[..., 1]
    result = degraded(source, tmp_path, scale=2.3)[..., 1]
    shift, _ = cv2.phaseCorrelate(original[0], result[0])
    assert np.hypot(*shift) < 0.1


@pytest.mark.parametrize(("width", "height"), [(97, 63), (33, 96)])
def test_odd_sizes_are_kept(tmp_path, width, height):
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    write_clip(tmp_path / "odd.mkv", frames, 25)
    assert degraded(tmp_path / "odd.mkv", tmp_path, scale=2.9, sigma=2.0).shape == frames.shape


def test_the_same_seed_gives_the_same_bytes(source, tmp_path):
    parameters = draw_parameters(CONFIG, 42, "clip-000000")
    for name in ("first", "second"):
        degrade_clip(source, tmp_path / f"{name}.mkv", parameters, CONFIG)
    assert sha256(tmp_path / "first.mkv") == sha256(tmp_path / "second.mkv")
    other = dataclasses.replace(parameters, seed=parameters.seed + 1)
    degrade_clip(source, tmp_path / "other.mkv", other, CONFIG)
    assert sha256(tmp_path / "other.mkv") != sha256(tmp_path / "first.mkv")


def test_a_shard_is_the_same_whatever_the_number_of_workers(source, tmp_path):
    hq = tmp_path / "hq"
    hq.mkdir()
    clips = pd.DataFrame({"clip_id": [f"v-{i:06d}" for i in range(3)]})
    for clip in clips["clip_id"]:
        (hq / f"{clip}.mkv").write_bytes(source.read_bytes())
    one = degrade_shard(clips, hq, tmp_path / "one", CONFIG, 42, workers=1)
    two = degrade_shard(clips.iloc[::-1], hq, tmp_path / "two", CONFIG, 42, workers=2)
    columns = ["clip_id", "seed", "sigma", "scale", "noise", "crf", "codec", "encoder_preset", "ffmpeg"]
    assert list(one.columns) == columns
    assert set(one["ffmpeg"]) == {ffmpeg_version()}
    assert set(one["encoder_preset"]) == {"medium"}
    pd.testing.assert_frame_equal(one, two.iloc[::-1].reset_index(drop=True))
    sums = {path.name: sha256(path) for path in (tmp_path / "one").iterdir()}
    assert sums == {path.name: sha256(path) for path in (tmp_path / "two").iterdir()}
    assert len(set(sums.values())) == 3


def test_an_empty_shard_and_a_missing_clip(tmp_path):
    none = pd.DataFrame({"clip_id": pd.Series([], dtype=str)})
    table = degrade_shard(none, tmp_path, tmp_path / "lq", CONFIG, 0, workers=1)
    assert table.empty
    assert "sigma" in table.columns
    assert list((tmp_path / "lq").iterdir()) == []
    gone = pd.DataFrame({"clip_id": ["gone-000000"]})
    with pytest.raises(InputError, match=r"gone-000000\.mkv"):
        degrade_shard(gone, tmp_path, tmp_path / "failed", CONFIG, 0, workers=1)
    assert not (tmp_path / "failed").exists()


def test_the_showcase_keeps_its_sound(source, tmp_path):
    tone = ffmpeg.input("sine=frequency=440:duration=1", f="lavfi")
    video = ffmpeg.input(str(source)).video
    out = ffmpeg.output(video, tone, str(tmp_path / "sound.mkv"), vcodec="copy", acodec="aac")
    out.global_args("-v", "error").run(cmd=ffmpeg_executable())
    sound = tmp_path / "sound.mkv"
    degrade_clip(sound, tmp_path / "lq.mp4", MILD, CONFIG, audio_from=sound)
    info = probe(tmp_path / "lq.mp4")
    assert (info.codec, info.has_audio, info.frames) == ("h264", True, 9)
