"""The choice of what computes the attention."""

import pytest
import torch
from diffusers.models import attention_dispatch

from vividface.errors import InputError
from vividface.models.attention import choose_attention
from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer


@pytest.fixture
def used(monkeypatch):
    """Names of the backends that were called, each with whether it was given a mask."""
    calls = set()
    for name, function in attention_dispatch._AttentionBackendRegistry._backends.items():

        def called(*arguments, name=name, function=function, **options):
            calls.add((name.value, options.get("attn_mask") is not None))
            return function(*arguments, **options)

        monkeypatch.setitem(attention_dispatch._AttentionBackendRegistry._backends, name, called)
    return calls


def test_self_attention_is_computed_as_asked_and_the_prompt_natively(wan_transformer, used):
    latents = torch.randn(1, 16, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = wan_transformer.restore(latents)
        assert used == {("native", False), ("native", True)}
        used.clear()
        wan_transformer.set_attention_backend("_native_math")
        assert torch.allclose(wan_transformer.restore(latents), expected, atol=1e-5)
    assert used == {("_native_math", False), ("native", True)}
    wan_transformer.set_prompt(torch.randn(3, 24))
    wan_transformer.restore(latents)
    assert ("_native_math", True) not in used, "also of a prompt that is stored later"


def test_windows_with_a_mask_are_computed_natively(used):
    shape = NANO | {"num_layers": 2, "num_attention_heads": 1, "ffn_dim": 32, "attention_window": 4}
    transformer = OneStepTransformer(**shape).eval()
    transformer.set_attention_backend("_native_math")
    patch = transformer.config.patch_size[1]
    transformer.restore(torch.randn(1, 768, 1, 4 * patch, 4 * patch))
    assert used == {("_native_math", False)}, "a frame within one window has no mask"
    used.clear()
    transformer.restore(torch.randn(1, 768, 1, 8 * patch, 8 * patch))
    assert used == {("_native_math", False), ("native", True)}, "windows that are shifted over the border do"


def test_the_choice_is_one_models_alone(wan_transformer):
    before = attention_dispatch._AttentionBackendRegistry.get_active_backend()
    choose_attention(wan_transformer, "native", "cpu")
    wan_transformer.set_attention_backend("_native_math")
    assert attention_dispatch._AttentionBackendRegistry.get_active_backend() == before


def test_what_cannot_be_had_is_told(wan_transformer, monkeypatch):
    with pytest.raises(InputError, match="--attention fast: is none of native, _native_cudnn, "):
        choose_attention(wan_transformer, "fast", "cpu")
    with pytest.raises(InputError, match="--attention flash_hub: is none of"):
        choose_attention(wan_transformer, "flash_hub", "cuda")
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_FLASH_ATTN", False)
    with pytest.raises(InputError, match="--attention flash: the package flash-attn is not installed"):
        choose_attention(wan_transformer, "flash", "cuda")
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_FLASH_ATTN", True)
    with pytest.raises(InputError, match="--attention flash: runs on a GPU alone"):
        choose_attention(wan_transformer, "flash", "cpu")
    with pytest.raises(InputError, match="--attention flash: takes bfloat16 alone; use --dtype bf16"):
        choose_attention(wan_transformer, "flash", "cuda")
    choose_attention(wan_transformer.to(torch.bfloat16), "flash", "cuda")
