"""The embedding of the empty prompt, computed once (section 3.1)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vividface.errors import InputError
from vividface.files import atomic_path

_TOKENS = 512


def embed_prompt(text_encoder: Path | str, tokenizer: Path | str, *, text: str = "") -> Tensor:
    """Embed a prompt with UMT5, padded with zeros as Wan pads it.

    Args:
        text_encoder: folder of a UMT5 encoder, as in Wan's diffusers release.
        tokenizer: folder of its tokenizer.
        text: text of the prompt.

    Returns:
        (512, width) float32.

    Raises:
        InputError: a folder holds no text encoder or no tokenizer.
    """
    from transformers import AutoTokenizer, UMT5EncoderModel

    try:
        tokens = AutoTokenizer.from_pretrained(str(tokenizer), local_files_only=True)(
            [text],
            padding="max_length",
            max_length=_TOKENS,
            truncation=True,
            add_special_tokens=True,
            return_attention_mask=True,
            return_tensors="pt",
        )
        # As Wan runs it: 11 GB of memory instead of 23.
        encoder = UMT5EncoderModel.from_pretrained(
            str(text_encoder), local_files_only=True, dtype=torch.bfloat16
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{text_encoder}, {tokenizer}: no text encoder and tokenizer can be read from them: {reason}"
        ) from None
    with torch.no_grad():
        # transformers loads models in evaluation mode.
        hidden: Tensor = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state[0].float()
    hidden[int(tokens.attention_mask.sum()) :] = 0
    return hidden


def write_prompt(path: Path | str, prompt: Tensor) -> None:
    """Write the embedding (tokens, width) of a prompt as a safetensors file, atomically."""
    with atomic_path(path) as temporary:
        save_file({"prompt": prompt.contiguous()}, temporary)


def load_prompt(path: Path | str, width: int) -> Tensor:
    """Read a file of `write_prompt`.

    Args:
        path: safetensors file.
        width: width of the embedding that the transformer takes.

    Returns:
        (tokens, width) float32.

    Raises:
        InputError: the file holds no prompt embedding of this width.
    """
    try:
        prompt = load_file(path)["prompt"]
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{path}: no prompt embedding can be read from it ({error}); it must be a safetensors file with "
            "a tensor `prompt` (tokens, width), as the rule empty_prompt writes it"
        ) from None
    if prompt.ndim != 2 or prompt.shape[1] != width:
        raise InputError(
            f"{path}: the prompt is {tuple(prompt.shape)}, but the transformer needs (tokens, {width})"
        )
    return prompt
