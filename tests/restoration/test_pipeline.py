"""The restoration as a diffusers pipeline."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from vividface.models.autoencoders import DCTAutoencoder, WanAutoencoder
from vividface.models.checkpoints import load_checkpoint, save_checkpoint
from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.pipeline import OneStepFacePipeline
from vividface.restoration.precision import NotFiniteError


@pytest.fixture
def pipeline():
    torch.manual_seed(0)
    transformer = OneStepTransformer(**(NANO | {"num_layers": 1, "ffn_dim": 64})).eval()
    pipeline = OneStepFacePipeline(transformer, DCTAutoencoder())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (7, 33, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 16, 16), (5, 32, 48), (7, 33, 50), (2, 5, 9)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_padding_is_cut_back_and_the_round_trip_is_exact(shape, depth):
    peak = np.iinfo(depth).max + 1
    frames = np.random.default_rng(0).integers(0, peak, (*shape, 3), dtype=depth)
    restored = OneStepFacePipeline(None, DCTAutoencoder()).restore(frames)
    assert restored.dtype == depth
    assert np.abs(restored.astype(int) - frames).max() <= (0 if depth == np.uint8 else 1)


def test_saved_and_loaded_it_does_the_same(pipeline, frames, tmp_path):
    pipeline.save_pretrained(tmp_path / "pipeline")
    save_checkpoint(tmp_path / "checkpoint", pipeline.transformer, pipeline.autoencoder)
    expected = pipeline.restore(frames)
    assert not np.array_equal(expected, frames)
    for folder in ("pipeline", "checkpoint"):
        loaded = OneStepFacePipeline.from_pretrained(tmp_path / folder).restore(frames)
        # Weights that lie elsewhere in memory may be multiplied in another order.
        assert np.abs(loaded.astype(int) - expected).max() <= 1
        again = OneStepFacePipeline(*load_checkpoint(tmp_path / folder)).restore(frames)
        assert np.array_equal(again, loaded)


def test_output_types(pipeline, frames):
    expected = pipeline.restore(frames) / np.float32(255)
    assert np.allclose(pipeline(frames).frames, expected)
    tensor = pipeline(frames, output_type="pt").frames
    assert tensor.shape == (7, 3, 33, 50)
    assert np.allclose(tensor.permute(0, 2, 3, 1), expected)
    images = pipeline(frames, output_type="pil").frames
    assert np.array_equal(np.asarray(images[3]), pipeline.restore(frames)[3])
    latents = pipeline(frames, output_type="latent").frames
    assert latents.shape == (1, 768, 3, 6, 8)
    assert np.array_equal(pipeline(frames, return_dict=False)[0], pipeline(frames).frames)


def test_input_types(pipeline, frames):
    expected = pipeline(frames).frames
    floats = frames.astype(np.float32) / 255
    for video in (floats, torch.from_numpy(floats).permute(0, 3, 1, 2)):
        assert np.abs(pipeline(video).frames - expected).max() < 0.004
    assert np.array_equal(pipeline([Image.fromarray(frame) for frame in frames]).frames, expected)


def test_long_videos_go_in_windows(pipeline):
    frames = np.random.default_rng(1).integers(0, 256, (21, 16, 16, 3), dtype=np.uint8)
    restored = pipeline(frames, window=9, overlap=3).frames
    assert restored.shape == (21, 16, 16, 3)
    assert np.array_equal(restored[:6], pipeline(frames[:9], window=9).frames[:6])
    with pytest.raises(ValueError, match="21 frames are over 9"):
        pipeline(frames, window=9, overlap=3, output_type="latent")


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"frames of shape \(3, 8, 8\)"),
        (np.zeros((3, 8, 8, 3), np.int64), "frames are int64"),
        (torch.zeros(3, 8, 8, 3), r"is not \(F, 3, H, W\)"),
    ],
)
def test_what_is_no_video_is_refused(video, message, pipeline):
    with pytest.raises(ValueError, match=message):
        pipeline(video)


def test_bfloat16_of_the_papers_model(tmp_path):
    torch.manual_seed(0)
    transformer = OneStepTransformer(num_attention_heads=1, text_dim=8, freq_dim=16, ffn_dim=32, num_layers=1)
    save_checkpoint(tmp_path, transformer, WanAutoencoder(base_dim=4))
    frames = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    whole = OneStepFacePipeline.from_checkpoint(tmp_path)
    half = OneStepFacePipeline.from_checkpoint(tmp_path, dtype=torch.bfloat16)
    assert half.autoencoder.dtype == half.transformer.dtype == torch.bfloat16
    expected = whole.restore(frames)
    assert np.array_equal(whole.restore(frames), expected)
    assert np.abs(half.restore(frames).astype(int) - expected).mean() < 2


def detail(video):
    """Energy of what a Gaussian of 1 px blurs away of every fourth frame."""
    some = video[::4]
    blurred = [cv2.GaussianBlur(frame, (7, 7), 1, borderType=cv2.BORDER_REFLECT_101) for frame in some]
    return np.square(some - np.stack(blurred)).mean()


def test_what_the_model_hardly_changes_is_kept(pipeline, frames):
    """`keep_detail` fades the change in over 1.5 dB."""
    before = frames.astype(float)
    changed = pipeline.restore(frames).astype(float) - before
    ratio = 10 * np.log10(detail(changed) / detail(before))
    for below, share in ((2.0, 1.0), (0.75, 0.5), (-0.1, 0.0)):
        pipeline.transformer.register_to_config(keep_detail=ratio - below)
        kept = pipeline.restore(frames).astype(float) - before
        # Clipped and rounded values are off the line.
        assert np.sum(kept * changed) / np.sum(changed**2) == pytest.approx(share, abs=0.02)
    np.testing.assert_array_equal(kept, 0)


def overflow(module, arguments, output):
    """3.4e38 is finite in float32 and infinite in bfloat16."""
    peak = torch.full_like(output[0], 1.844e19).square()
    return (output[0] + (peak - peak),)


def dtypes(module):
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: (tensor.dtype, tensor.clone()) for name, tensor in tensors.items()}


@pytest.mark.parametrize("autoencoder", ["wan", "dct"])
def test_what_overflows_in_bfloat16_is_computed_again_in_float32(autoencoder, tmp_path):
    torch.manual_seed(0)
    if autoencoder == "wan":
        shape = {"num_attention_heads": 1, "text_dim": 8, "freq_dim": 16, "ffn_dim": 32, "num_layers": 1}
        parts = (OneStepTransformer(**shape), WanAutoencoder(base_dim=4))
    else:
        parts = (OneStepTransformer(**(NANO | {"num_layers": 1, "ffn_dim": 64})), DCTAutoencoder())
    save_checkpoint(tmp_path, *parts)
    frames = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    half = OneStepFacePipeline.from_checkpoint(tmp_path, dtype=torch.bfloat16)
    before = [dtypes(half.transformer), dtypes(half.autoencoder)]
    half.restore(frames)
    assert half.num_repeated == 0
    half.transformer.register_forward_hook(overflow)
    restored = half.restore(frames)
    assert half.num_repeated == 1
    for module, expected in zip((half.transformer, half.autoencoder), before, strict=True):
        for name, (dtype, values) in dtypes(module).items():
            assert dtype == expected[name][0]
            assert torch.equal(values, expected[name][1])
    whole = OneStepFacePipeline.from_checkpoint(tmp_path, dtype=torch.bfloat16)
    whole.transformer.float()
    whole.autoencoder.float()
    assert np.array_equal(restored, whole.restore(frames))


def test_what_float32_cannot_hold_either_names_the_frames(pipeline, frames):
    pipeline.transformer.register_forward_hook(
        lambda module, arguments, output: (output[0].index_fill(2, torch.tensor([1]), torch.inf),)
    )
    with pytest.raises(NotFiniteError, match="frames 1 to 4: the model's result is not finite, in float32"):
        pipeline.restore(frames)
