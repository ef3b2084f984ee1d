"""Decoded samples of clips."""

import shutil

import pytest
import torch

from vividface.data.pixels import PixelClip, PixelClips
from vividface.errors import InputError
from vividface.tensors import frames_to_tensor
from vividface.video import read_clip, read_masks


def _clips(folder):
    return [
        PixelClip(
            clip_id=clip,
            hq=folder / "hq" / f"{clip}.mkv",
            lq=folder / "lq" / f"{clip}.mkv",
            mask=folder / "masks" / f"{clip}.mkv",
            num_frames=13,
        )
        for clip in ("b", "a")
    ]


def test_samples_lie_where_the_position_says(training_videos):
    clips = _clips(training_videos)
    samples = PixelClips(clips, num_frames=5)
    assert len(samples) == 2
    for position, start in ((0.0, 0), (0.5, 4), (0.999, 8)):
        sample = samples.read(0, position)
        assert sample.clip_id == "a"
        frames = read_clip(training_videos / "lq" / "a.mkv", start, start + 5, size=(32, 32))
        assert torch.equal(sample.lq, frames_to_tensor(frames))
        masks = read_masks(training_videos / "masks" / "a.mkv", start, start + 5)
        assert torch.equal(sample.mask, torch.from_numpy(masks).float())
    with pytest.raises(InputError, match="no clip of at least 17 frames is left"):
        PixelClips(clips, num_frames=17)


def test_kept_clips_are_read_from_memory(training_videos, tmp_path):
    copy = shutil.copytree(training_videos, tmp_path / "videos")
    for clip in ("a", "b"):
        shutil.copy(copy / "hq" / f"{clip}.mkv", copy / "lq" / f"{clip}.draw-1.mkv")
    samples = PixelClips(_clips(copy), num_frames=5)
    places = [(index, position, draw) for index in (0, 1) for position in (0.0, 0.5) for draw in (0, 1)]
    expected = [samples.read(index, position, draw=draw) for index, position, draw in places]
    samples.keep(torch.device("cpu"), num_draws=2)
    shutil.rmtree(copy)
    for (index, position, draw), sample in zip(places, expected, strict=True):
        kept = samples.read(index, position, draw=draw)
        assert kept.clip_id == sample.clip_id
        assert all(torch.equal(*pair) for pair in zip(kept[:3], sample[:3], strict=True))
