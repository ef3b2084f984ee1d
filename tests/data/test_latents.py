"""Latents: written per shard, read per clip."""

import numpy as np
import pandas as pd
import pytest
import torch

from vividface.data.encoding import align_mask, encode_shard
from vividface.data.latents import LatentClips
from vividface.errors import InputError
from vividface.models.autoencoders import DCTAutoencoder
from vividface.tensors import tensor_to_frames
from vividface.video import read_clip, read_masks


@pytest.fixture(scope="module")
def shard(training_videos):
    autoencoder = DCTAutoencoder()
    output = training_videos / "0000.safetensors"
    encode_shard(
        pd.DataFrame({"clip_id": ["a", "b"]}),
        autoencoder,
        num_frames=9,
        hq_dir=training_videos / "hq",
        lq_dir=training_videos / "lq",
        mask_dir=training_videos / "masks",
        output=output,
    )
    return output, autoencoder


def test_a_shard_holds_latents_and_masks_on_their_grid(shard, training_videos):
    path, autoencoder = shard
    clips = LatentClips([path], autoencoder, num_frames=9)
    assert len(clips) == 2
    clip = clips[1]
    assert clip.clip_id == "b"
    assert clip.lq.shape == clip.hq.shape == (768, 3, 4, 4)
    assert clip.mask.shape == (3, 4, 4)
    for kind, latents in (("lq", clip.lq), ("hq", clip.hq)):
        frames = read_clip(training_videos / kind / "b.mkv", 0, 9, size=(32, 32))
        decoded = autoencoder.decode_video(latents[None])[0]
        assert np.abs(tensor_to_frames(decoded).astype(int) - frames).max() <= 2
    expected = align_mask(read_masks(training_videos / "masks" / "b.mkv", 0, 9))
    assert torch.equal(clip.mask, expected.float())
    assert 0 < clip.mask.mean() < 1


def test_selection_and_its_absence(shard):
    path, autoencoder = shard
    clips = LatentClips([path], autoencoder, num_frames=9)
    assert [clip.clip_id for clip in clips] == ["a", "b"]
    assert [clip.clip_id for clip in clips.subset({"b", "elsewhere"})] == ["b"]
    assert clips.clip_ids == ["a", "b"]
    with pytest.raises(InputError, match=r"no clip with latents is left.*filter\.threshold"):
        clips.subset({"elsewhere"})


def test_another_autoencoders_latents_are_refused(shard):
    path, _ = shard
    other = DCTAutoencoder(decay=0.3)
    with pytest.raises(InputError, match=r"0000\.safetensors: holds latents of the autoencoder"):
        LatentClips([path], other, num_frames=9)
