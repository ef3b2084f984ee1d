"""The dry GPU itself: what it counts, against sizes by hand, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

MIB = 2**20


def test_a_tensor_takes_its_bytes_in_blocks_of_512_until_the_last_view_is_gone(memory):
    large = torch.empty(512, 512, device="cuda")
    small = torch.empty(3, dtype=torch.bfloat16, device="cuda")
    assert memory.allocated == MIB + 512
    part = large.view(-1)[5:]
    del large, small
    assert memory.allocated == MIB
    del part
    assert memory.allocated == 0
    assert memory.peak == MIB + 512


def test_the_peak_has_what_an_operation_makes_beside_what_it_takes(memory):
    tensor = torch.empty(512, 512, device="cuda")
    for _ in range(3):
        tensor = tensor + 1
    assert (memory.allocated, memory.peak) == (MIB, 2 * MIB)
    tensor.add_(1)
    memory.reset_peak()
    assert memory.peak == MIB


def test_what_lies_on_the_cpu_is_not_counted(memory):
    layer = nn.Linear(512, 512, bias=False)
    assert memory.allocated == 0
    layer.to("cuda", torch.bfloat16)
    assert memory.allocated == MIB / 2
    layer.cpu()
    assert memory.allocated == 0


def test_training_keeps_weights_gradients_and_both_moments(memory):
    layer = nn.Linear(512, 512, bias=False).to("cuda")
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.empty(1, 512, device="cuda")).sum().backward()
    assert layer.weight.grad.device.type == "cuda"
    optimizer.step()
    # And a number of steps.
    assert memory.allocated == 4 * MIB + 512


def test_a_checkpoint_keeps_nothing_between_its_ends(memory):
    layers = nn.Sequential(*(nn.Sequential(nn.Linear(512, 512), nn.ReLU()) for _ in range(8))).to("cuda")
    peaks = []
    for kept in (False, True):
        memory.reset_peak()
        x = torch.empty(512, 512, device="cuda", requires_grad=True)
        output = checkpoint(layers, x, use_reentrant=False) if kept else layers(x)
        peaks.append(memory.allocated)
        output.sum().backward()
        layers.zero_grad()
        del x, output
    everything, ends = peaks
    assert everything - ends >= 7 * MIB


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_never_keeps_the_matrix_of_weights(memory, dtype, masked):
    query = torch.empty(1, 12, 4096, 128, device="cuda", dtype=dtype, requires_grad=True)
    mask = torch.zeros(1, 1, 1, 4096, device="cuda", dtype=dtype) if masked else None
    F.scaled_dot_product_attention(query, query, query, attn_mask=mask).sum().backward()
    assert memory.peak < 12 * 4096 * 4096


def test_in_inference_mode_too_the_parts_of_an_operation_are_counted(memory):
    image = torch.empty(512, 512, device="cuda")
    for mode in (torch.no_grad, torch.inference_mode):
        memory.reset_peak()
        with mode():
            F.layer_norm(image, (512,))
        # Its result, and each row's mean and deviation.
        assert memory.peak == 2 * MIB + 2 * 512 * 4


def test_a_mask_chooses_nothing_and_a_number_is_one(memory):
    values = torch.empty(5, 3, device="cuda")
    assert values[values > 0].shape == values.masked_select(values > 0).shape == (0,)
    assert values[(values > 0).all(dim=1)].shape == (0, 3)
    assert values.sum().item() == 1
    assert not (values > 0).any()


def test_automatic_precision_computes_in_bfloat16(memory):
    layer = nn.Linear(4, 4).to("cuda")
    with torch.autocast("cuda", torch.bfloat16):
        assert layer(torch.empty(1, 4, device="cuda")).dtype == torch.bfloat16


def test_a_tensor_on_the_cpu_among_those_of_the_gpu_is_refused(memory):
    layer = nn.Linear(4, 4).to("cuda")
    with pytest.raises(RuntimeError, match="two devices"):
        layer(torch.empty(1, 4))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.Linear(4, 4), (1, 4)),
        (lambda: nn.Conv2d(4, 4, 1), (1, 4, 2, 2)),
        (lambda: nn.LayerNorm(4), (1, 4)),
    ],
)
def test_floats_that_are_not_of_the_weights_type_are_refused(memory, layer, shape):
    module = layer().to("cuda", torch.bfloat16)
    with pytest.raises(RuntimeError, match="type"):
        module(torch.empty(shape, device="cuda"))


def test_only_what_was_copied_to_the_cpu_becomes_an_array(memory):
    tensor = torch.empty(2, 3, device="cuda")
    assert np.array_equal(tensor.cpu().numpy(), np.zeros((2, 3), np.float32))
    with pytest.raises(TypeError, match="copy it to the CPU first"):
        tensor.numpy()
    with pytest.raises(RuntimeError, match="requires grad"):
        nn.Parameter(tensor).cpu().numpy()
    with pytest.raises(TypeError, match="bfloat16"):
        tensor.bfloat16().cpu().numpy()


def test_torch_is_itself_again_afterwards():
    layer = nn.Linear(2, 2)
    layer(torch.ones(1, 2)).sum().backward()
    assert torch.equal(layer.weight.grad, torch.ones(2, 2))
    assert type(layer.weight.detach()) is torch.Tensor
