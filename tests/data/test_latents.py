import numpy as np
import pandas as pd
import pytest
import torch

from vividface.data.latents import LatentClips, encode_shard, frames_to_tensor, tensor_to_frames
from vividface.data.pixels import PixelClip, PixelClips
from vividface.errors import InputError
from vividface.faces.masks import align_mask
from vividface.models.autoencoders import DCTAutoencoder
from vividface.video import write_clip


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips of 13 frames of 32 px with their masks, and their degraded versions of 20 px."""
    folder = tmp_path_factory.mktemp("clips")
    generator = np.random.default_rng(0)
    for kind in ("hq", "lq"):
        for clip in ("a", "b"):
            side = 32 if kind == "hq" else 20
            frames = generator.integers(0, 256, (13, side, side, 3), dtype=np.uint8)
            write_clip(folder / kind / f"{clip}.mkv", frames, 25)
    for clip in ("a", "b"):
        masks = generator.random((13, 32, 32)) > 0.98
        write_clip(folder / "masks" / f"{clip}.mkv", masks, 25, "ffv1_gray")
    return folder


@pytest.fixture(scope="module")
def shard(clips):
    autoencoder = DCTAutoencoder()
    table = pd.DataFrame({"clip_id": ["a", "b"]})
    output = clips / "0000.safetensors"
    encode_shard(table, clips / "hq", clips / "lq", clips / "masks", autoencoder, 9, output)
    return output, autoencoder


def test_frames_survive_the_round_trip_through_tensors():
    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    tensor = frames_to_tensor(frames)
    assert tensor.shape == (3, 5, 16, 16)
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert np.array_equal(tensor_to_frames(tensor), frames)


def test_a_shard_holds_latents_and_masks_on_their_grid(shard, clips):
    from vividface.video import read_clip, read_masks

    path, autoencoder = shard
    held = LatentClips([path], autoencoder, 9)
    assert len(held) == 2
    clip = held[1]
    assert clip["clip_id"] == "b"
    assert clip["low"].shape == clip["high"].shape == (768, 3, 4, 4)
    assert clip["mask"].shape == (3, 4, 4)
    for name, kind in (("low", "lq"), ("high", "hq")):
        frames = read_clip(clips / kind / "b.mkv", 0, 9, (32, 32))
        decoded = autoencoder.decode_video(clip[name][None])[0]
        assert np.abs(tensor_to_frames(decoded).astype(int) - frames).max() <= 2
    expected = align_mask(read_masks(clips / "masks" / "b.mkv", 0, 9))
    assert torch.equal(clip["mask"], expected.float())
    assert 0 < clip["mask"].mean() < 1


def test_selection_and_its_absence(shard):
    path, autoencoder = shard
    held = LatentClips([path], autoencoder, 9, {"b", "elsewhere"})
    assert [held[i]["clip_id"] for i in range(len(held))] == ["b"]
    with pytest.raises(InputError, match=r"no clip with latents is left.*filter\.threshold"):
        LatentClips([path], autoencoder, 9, {"elsewhere"})


def test_another_autoencoders_latents_are_refused(shard):
    path, _ = shard
    other = DCTAutoencoder(decay=0.3)
    with pytest.raises(InputError, match=r"0000\.safetensors: holds latents of the autoencoder"):
        LatentClips([path], other, 9)


def test_pixel_windows_lie_where_the_position_says(clips):
    from vividface.video import read_clip, read_masks

    rows = [
        PixelClip(clip, *(clips / kind / f"{clip}.mkv" for kind in ("hq", "lq", "masks")), 13)
        for clip in ("b", "a")
    ]
    windows = PixelClips(rows, 5)
    assert len(windows) == 2
    for position, start in ((0.0, 0), (0.5, 4), (0.999, 8)):
        window = windows.read(0, position)
        assert window["clip_id"] == "a"
        expected = frames_to_tensor(read_clip(clips / "lq" / "a.mkv", start, start + 5, (32, 32)))
        assert torch.equal(window["low"], expected)
        masks = read_masks(clips / "masks" / "a.mkv", start, start + 5)
        assert torch.equal(window["mask"], torch.from_numpy(masks).float())
    with pytest.raises(InputError, match="no clip of at least 17 frames is left"):
        PixelClips(rows, 17)
