"""Decoded samples of clips."""

import pytest
import torch

from vividface.data.pixels import PixelClip, PixelClips
from vividface.errors import InputError
from vividface.tensors import frames_to_tensor
from vividface.video import read_clip, read_masks


def test_samples_lie_where_the_position_says(training_videos):
    clips = [
        PixelClip(
            clip_id=clip,
            hq=training_videos / "hq" / f"{clip}.mkv",
            lq=training_videos / "lq" / f"{clip}.mkv",
            mask=training_videos / "masks" / f"{clip}.mkv",
            num_frames=13,
        )
        for clip in ("b", "a")
    ]
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
