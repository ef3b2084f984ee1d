"""Products by oneDNN: those of torch, forwards and backwards, in whatever layout."""

import pytest
import torch
from diffusers.models.activations import GELU
from torch import nn
from torch.nn import functional as F

from vividface.models import products
from vividface.models.products import FastLinear, multiply, multiply_by_onednn, use_fast_products
from vividface.models.window_attention import attend

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch is built without oneDNN"
)


def random(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def gradients(output, *inputs):
    return torch.autograd.grad(output, inputs, random(*output.shape, dtype=output.dtype))


@needs_onednn
@pytest.mark.parametrize("biased", [True, False])
def test_a_product_and_its_gradients_are_those_of_torch(biased):
    x, weight = random(2, 30, 48).requires_grad_(), random(20, 48).requires_grad_()
    inputs = [x, weight, *([random(20).requires_grad_()] if biased else [])]
    ours, expected = multiply_by_onednn(*inputs), F.linear(*inputs)
    torch.testing.assert_close(ours, expected)
    for mine, theirs in zip(gradients(ours, *inputs), gradients(expected, *inputs), strict=True):
        torch.testing.assert_close(mine, theirs)


@needs_onednn
def test_matrices_may_be_transposed_cut_out_or_expanded():
    whole = random(40, 60)
    for x, weight in (
        (whole.T[:, :24], whole[:, :24]),
        (whole[:, 3:27], random(24, 10).T),
        (whole[:1, :24].expand(5, -1), whole[:, 3:27]),
    ):
        torch.testing.assert_close(multiply_by_onednn(x, weight), x @ weight.T)
    x = whole.clone().requires_grad_()
    multiply_by_onednn(x, random(7, 60)).sum().backward()
    torch.testing.assert_close(x.grad, random(7, 60).sum(0).expand(40, -1))


def test_linear_layers_keep_their_weights_names_and_types():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4, bias=False)).double()
    x, names = random(3, 6, dtype=torch.float64), list(model.state_dict())
    expected = model(x)
    use_fast_products(model)
    assert [type(layer) for layer in model] == [FastLinear, nn.ReLU, FastLinear]
    assert list(model.state_dict()) == names
    assert torch.equal(model(x), expected)


def test_mixed_precision_stays():
    x, weight = random(3, 6), random(5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert multiply(x, weight).dtype == torch.bfloat16


def attention_of_torch(query, key, value, bias):
    heads = (tokens.transpose(1, 2) for tokens in (query, key, value))
    mask = None if bias is None else bias.to(query.dtype).repeat(len(query) // len(bias), 1, 1).unsqueeze(1)
    return F.scaled_dot_product_attention(*heads, attn_mask=mask).transpose(1, 2)


@needs_onednn
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [True, False])
def test_attention_and_its_gradients_are_as_exact_as_those_of_torch(dtype, masked):
    generator = torch.Generator().manual_seed(0)
    *tokens, weight = torch.randn(4, 4, 70, 3, 16, generator=generator).to(dtype)
    bias = None
    if masked:
        bias = torch.zeros(2, 70, 70)
        bias[1, :30, 30:] = bias[1, 30:, :30] = -torch.inf

    def values(attention, dtype):
        inputs = [part.to(dtype).requires_grad_() for part in tokens]
        output = attention(*inputs, bias)
        assert output.dtype == dtype
        return [output, *torch.autograd.grad(output, inputs, weight.to(dtype))]

    exact = values(attention_of_torch, torch.float64)
    for right, ours, theirs in zip(
        exact, values(attend, dtype), values(attention_of_torch, dtype), strict=True
    ):
        assert torch.norm(ours.double() - right) < 2 * torch.norm(theirs.double() - right)
        assert torch.norm(ours.double() - right) < 1e-2 * torch.norm(right)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gelu_in_one_pass_is_that_of_two(dtype, monkeypatch):
    monkeypatch.setattr(products, "mkl_is_slow", torch.backends.mkldnn.is_available)
    layer = GELU(48, 20, approximate="tanh").to(dtype)
    x = random(2, 30, 48, dtype=dtype)
    expected = layer(x)
    use_fast_products(layer)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
    assert layer(x).requires_grad


@pytest.mark.parametrize("kernel", [1, 2])
def test_a_convolution_of_single_places_is_a_product(kernel, monkeypatch):
    monkeypatch.setattr(products, "mkl_is_slow", torch.backends.mkldnn.is_available)
    layer = nn.Conv3d(12, 5, kernel, stride=kernel)
    x = random(2, 12, 2, 4, 6).requires_grad_()
    expected = layer(x)
    use_fast_products(layer)
    ours = layer(x)
    torch.testing.assert_close(ours, expected)
    pairs = zip(gradients(ours, x, layer.weight), gradients(expected, x, layer.weight), strict=True)
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs)
