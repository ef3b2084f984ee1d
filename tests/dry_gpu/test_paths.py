"""Every path of a GPU at its true size: devices and types fit, and the peak is the one that is stated."""

import numpy as np
import pytest
import torch
from pyiqa.archs import niqe_arch

from benchmarks.memory import PATHS, count, read_table, restore
from vividface.evaluation.metrics import Clip
from vividface.evaluation.metrics.image import NIQE
from vividface.models.transformer import OneStepTransformer


@pytest.mark.parametrize("path", PATHS)
def test_the_documentation_states_the_peak(path):
    counted, _ = read_table()[path]
    assert count(PATHS[path]) == pytest.approx(float(counted.replace(",", "")), rel=0.02)


def test_the_documentation_states_nothing_else():
    assert list(read_table()) == list(PATHS)


def test_a_part_that_stayed_on_the_cpu_is_refused(monkeypatch):
    moved = OneStepTransformer.to

    def leave_one_part(self, *arguments, **options):
        moved(self, *arguments, **options)
        self.blocks[7].cpu()
        return self

    monkeypatch.setattr(OneStepTransformer, "to", leave_one_part)
    with pytest.raises(RuntimeError, match="two devices"):
        count(restore)


def test_a_part_of_another_type_is_refused(monkeypatch):
    moved = OneStepTransformer.to

    def cast_one_part(self, *arguments, **options):
        moved(self, *arguments, **options)
        self.blocks[7].ffn.float()
        return self

    monkeypatch.setattr(OneStepTransformer, "to", cast_one_part)
    with pytest.raises(RuntimeError, match="type"):
        count(restore)


def test_a_frame_without_statistics_is_counted_beside_those_that_have_some(monkeypatch):
    batches = []

    def forward(_, images):
        batches.append(images)
        if len(batches) == 1:
            raise torch.linalg.LinAlgError("singular")
        return images.mean((1, 2, 3))

    def measure():
        frames = np.zeros((4, 512, 512, 3), np.uint8)
        NIQE().measure(Clip(frames=frames, reference=None, device="cuda"))

    monkeypatch.setattr(niqe_arch.NIQE, "forward", forward)
    count(measure)
    assert len(batches) == 2
