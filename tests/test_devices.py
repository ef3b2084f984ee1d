"""Where a step computes, and in which precision."""

import torch

from vividface.devices import choose_dtype


def test_a_cpu_that_multiplies_matrices_of_bfloat16_is_given_them(monkeypatch):
    for amx in (True, False):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda amx=amx: {"amx_bf16": amx})
        assert (choose_dtype("auto", "cpu") is torch.bfloat16) == amx
    assert choose_dtype("auto", "cuda") is torch.bfloat16


def test_a_type_that_is_asked_for_is_taken():
    assert choose_dtype("fp32", "cuda") is torch.float32
    assert choose_dtype("bf16", "cpu") is torch.bfloat16
