"""The embedding of the empty prompt, and its file."""

import pytest
import torch

from vividface.errors import InputError
from vividface.models.prompt import embed_prompt, load_prompt, write_prompt


def test_the_empty_prompt_is_one_token_and_zeros(text_encoder, tmp_path):
    prompt = embed_prompt(text_encoder / "text_encoder", text_encoder / "tokenizer")
    assert prompt.shape == (512, 16)
    assert prompt[0].abs().sum() > 0
    assert not prompt[1:].any()
    path = tmp_path / "prompt.safetensors"
    write_prompt(path, prompt)
    assert torch.equal(load_prompt(path, 16), prompt)
    longer = embed_prompt(text_encoder / "text_encoder", text_encoder / "tokenizer", text="face")
    assert longer[:2].abs().sum(1).all()
    assert not longer[2:].any()


def test_what_is_not_there_is_named(text_encoder, tmp_path):
    with pytest.raises(InputError, match=r"nowhere.*: no text encoder and tokenizer can be read"):
        embed_prompt(tmp_path / "nowhere", text_encoder / "tokenizer")
    path = tmp_path / "prompt.safetensors"
    with pytest.raises(InputError, match="no prompt embedding can be read"):
        load_prompt(path, 16)
    write_prompt(path, torch.zeros(512, 8))
    with pytest.raises(
        InputError, match="the prompt is \\(512, 8\\), but the transformer needs \\(tokens, 16\\)"
    ):
        load_prompt(path, 16)
