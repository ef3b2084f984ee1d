"""Where a step computes, and in which precision."""

import pytest
import torch

from vividface.devices import choose_dtype


@pytest.mark.parametrize("name", ["amx_bf16", "avx512_bf16"])
def test_a_cpu_that_multiplies_matrices_of_bfloat16_is_given_them(name, monkeypatch):
    for is_there in (True, False):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda found=is_there: {name: found})
        assert (choose_dtype("auto", "cpu") is torch.bfloat16) == is_there
    assert choose_dtype("auto", "cuda") is torch.bfloat16


def test_a_type_that_is_asked_for_is_taken():
    assert choose_dtype("fp32", "cuda") is torch.float32
    assert choose_dtype("bf16", "cpu") is torch.bfloat16
