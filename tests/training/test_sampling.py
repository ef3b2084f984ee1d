"""The order of the data."""

import torch

from vividface.training.sampling import Sampler


def test_sampler_sees_every_clip_once_an_epoch_however_many_processes():
    sampler = Sampler(8, batch_size=2, p=0.5, seed=3)
    steps = [sampler.draw(step, part=0, num_parts=1) for step in range(8)]
    epoch = [index for draw in steps[:4] for index in draw.indices]
    assert sorted(epoch) == list(range(8))
    second = [index for draw in steps[4:] for index in draw.indices]
    assert sorted(second) == list(range(8))
    assert epoch != second
    for step, whole in enumerate(steps[:4]):
        parts = [sampler.draw(step, part=rank, num_parts=2) for rank in (0, 1)]
        assert sorted(parts[0].indices + parts[1].indices) == sorted(whole.indices)
        positions = torch.cat([part.positions for part in parts])
        assert torch.equal(positions.sort().values, whole.positions.sort().values)
        assert sum(part.focus.sum() for part in parts) == whole.focus.sum()
