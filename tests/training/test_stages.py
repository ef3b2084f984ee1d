"""What the stages make of their samples."""

import torch

from vividface.data.samples import Sample
from vividface.training.sampling import Draw
from vividface.training.stages import _collate


def samples(side=8):
    generator = torch.Generator().manual_seed(0)
    lq, hq = (torch.rand(2, 4, 2, side, side, generator=generator) for _ in range(2))
    mask = torch.rand(2, 2, side, side, generator=generator)
    return [Sample(lq[i], hq[i], mask[i], f"c{i}") for i in range(2)]


def draw(severities, corners=((0.0, 0.0), (0.0, 0.0))):
    zeros = torch.zeros(2)
    return Draw([0, 1], zeros, zeros > 0, torch.tensor(severities), zeros, torch.tensor(corners))


def test_a_sample_begins_as_far_from_the_true_clip_as_was_drawn():
    first, second = samples()
    batch = _collate([first, second], draw([1.0, 0.25]), crop=None, step=2)
    assert torch.equal(batch.lq[0], first.lq)
    assert torch.allclose(batch.lq[1], 0.25 * second.lq + 0.75 * second.hq)
    assert torch.equal(batch.hq[1], second.hq)
    clean = _collate([first, second], draw([0.0, 0.0]), crop=None, step=2)
    assert torch.equal(clean.lq, clean.hq)


def test_crops_begin_at_whole_tokens_and_take_the_same_place_of_all_parts():
    first, second = samples()
    corners = ((0.0, 0.99), (0.5, 0.34))
    batch = _collate([first, second], draw([1.0, 1.0], corners), crop=4, step=2)
    assert batch.lq.shape == (2, 4, 2, 4, 4)
    for part, whole in (("lq", first.lq), ("hq", first.hq), ("mask", first.mask)):
        assert torch.equal(getattr(batch, part)[0], whole[..., 0:4, 4:8])
    assert torch.equal(batch.hq[1], second.hq[..., 2:6, 2:6])
