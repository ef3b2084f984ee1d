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


def test_shares_of_mild_and_clean_samples_leave_the_rest_as_it_was():
    paper = Sampler(8, batch_size=1000, p=0.5, seed=3).draw(5, part=0, num_parts=1)
    assert (paper.severities == 1).all()
    mixed = Sampler(8, batch_size=1000, p=0.5, seed=3, mild_share=0.25, clean_share=0.1).draw(
        5, part=0, num_parts=1
    )
    assert mixed.indices == paper.indices
    assert torch.equal(mixed.positions, paper.positions)
    assert torch.equal(mixed.focus, paper.focus)
    clean, whole = mixed.severities == 0, mixed.severities == 1
    assert 0.07 < clean.float().mean() < 0.13
    assert 0.6 < whole.float().mean() < 0.7
    mild = mixed.severities[~clean & ~whole]
    assert 0.4 < mild.mean() < 0.6
    assert len(set(mixed.degradations.tolist())) > 900
