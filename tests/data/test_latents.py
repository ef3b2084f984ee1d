"""Latents: written per shard, read per clip."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

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
    clip = clips.read(1)
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


def test_every_degradation_has_its_latents(training_videos, tmp_path):
    autoencoder = DCTAutoencoder()
    (tmp_path / "lq").mkdir()
    for source, name in (("lq", "a.mkv"), ("hq", "a.draw-1.mkv")):
        (tmp_path / "lq" / name).write_bytes((training_videos / source / "a.mkv").read_bytes())
    encode_shard(
        pd.DataFrame({"clip_id": ["a"]}),
        autoencoder,
        num_frames=9,
        hq_dir=training_videos / "hq",
        lq_dir=tmp_path / "lq",
        mask_dir=training_videos / "masks",
        output=tmp_path / "0000.safetensors",
        num_draws=2,
    )
    clips = LatentClips([tmp_path / "0000.safetensors"], autoencoder, num_frames=9)
    assert (len(clips), clips.num_draws) == (1, 2)
    assert torch.equal(clips.read(0, draw=1).lq, clips.read(0).hq)
    assert not torch.equal(clips.read(0).lq, clips.read(0).hq)


def test_shards_of_other_numbers_of_degradations_are_refused(shard, tmp_path):
    path, autoencoder = shard
    tensors = load_file(path)
    tensors["b.lq-1"] = tensors["b.lq"].clone()
    save_file(tensors, tmp_path / "0000.safetensors", {"autoencoder": autoencoder.fingerprint})
    with pytest.raises(InputError, match="b has 2 degradations, other clips have 1"):
        LatentClips([tmp_path / "0000.safetensors"], autoencoder, num_frames=9)


def test_selection_and_its_absence(shard):
    path, autoencoder = shard
    clips = LatentClips([path], autoencoder, num_frames=9)
    assert [clip.clip_id for clip in clips] == ["a", "b"]
    assert [clip.clip_id for clip in clips.subset({"b", "elsewhere"})] == ["b"]
    assert clips.clip_ids == ["a", "b"]
    with pytest.raises(InputError, match=r"no clip with latents is left.*filter\.threshold"):
        clips.subset({"elsewhere"})


def test_kept_latents_are_read_from_memory(shard, monkeypatch):
    path, autoencoder = shard
    clips = LatentClips([path], autoencoder, num_frames=9)
    expected = clips.read(1)
    clips.subset({"b"}).keep(torch.device("cpu"))
    monkeypatch.setattr(clips, "_files", {})
    kept = clips.read(1)
    assert kept.clip_id == "b"
    assert all(torch.equal(*pair) for pair in zip(kept[:3], expected[:3], strict=True))
    with pytest.raises(KeyError):
        clips.read(0)


def test_another_autoencoders_latents_are_refused(shard):
    path, _ = shard
    other = DCTAutoencoder(decay=0.3)
    with pytest.raises(InputError, match=r"0000\.safetensors: holds latents of the autoencoder"):
        LatentClips([path], other, num_frames=9)
