"""Building and loading the parts of the model: presets, stage checkpoints, autoencoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError
from safetensors.torch import load_file

from vividface.config import ModelConfig
from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.models.autoencoders import Autoencoder, DCTAutoencoder, WanAutoencoder, freeze
from vividface.models.transformer import OneStepTransformer

# About 6M parameters: small enough to train in minutes on one CPU core.
NANO = {
    "num_attention_heads": 4,
    "attention_head_dim": 64,
    "in_channels": 768,
    "out_channels": 768,
    "text_dim": 16,
    "freq_dim": 64,
    "ffn_dim": 768,
    "num_layers": 4,
    "prompt_tokens": 1,
}
_AUTOENCODERS: dict[str, type[ModelMixin]] = {
    "DCTAutoencoder": DCTAutoencoder,
    "WanAutoencoder": WanAutoencoder,
    "AutoencoderKLWan": WanAutoencoder,
}


def build_transformer(model: ModelConfig, seed: int) -> OneStepTransformer:
    """The transformer that training starts from.

    `nano` is random but for its zero output layer, so it restores every video to itself. `wan-1.3b` is read
    from `model.transformer`, a diffusers folder of Wan 2.1 T2V 1.3B, and the stored prompt embedding.

    Raises:
        InputError: a folder or file is missing or is not what the preset needs.
    """
    if model.preset == "nano":
        torch.manual_seed(seed)
        transformer = OneStepTransformer(**NANO, prediction=model.prediction, timestep=model.timestep)
        transformer.start_as_identity()
        return transformer
    assert model.transformer is not None
    transformer = _from_pretrained(OneStepTransformer, model.transformer, "model.transformer")
    transformer.register_to_config(prediction=model.prediction, timestep=model.timestep)
    transformer.prompt = _prompt(model, transformer.config.text_dim)
    transformer.register_to_config(prompt_tokens=len(transformer.prompt))
    return transformer


def build_autoencoder(model: ModelConfig) -> Autoencoder:
    """The preset's frozen autoencoder."""
    if model.preset == "nano":
        return cast(Autoencoder, freeze(DCTAutoencoder()))
    assert model.autoencoder is not None
    return cast(Autoencoder, freeze(_from_pretrained(WanAutoencoder, model.autoencoder, "model.autoencoder")))


def save_checkpoint(folder: Path | str, transformer: OneStepTransformer, autoencoder: Autoencoder) -> None:
    """Write a self-contained checkpoint: `transformer/` and `autoencoder/`, each a diffusers folder."""
    with atomic_path(folder) as temporary:
        transformer.save_pretrained(temporary / "transformer")
        cast(ModelMixin, autoencoder).save_pretrained(temporary / "autoencoder")


def load_checkpoint(folder: Path | str) -> tuple[OneStepTransformer, Autoencoder]:
    """Read what `save_checkpoint` wrote; both parts are frozen.

    Raises:
        InputError: the folder is not a checkpoint.
    """
    folder = Path(folder)
    transformer = _from_pretrained(OneStepTransformer, folder / "transformer", "the checkpoint")
    kind = _read_config(folder / "autoencoder").get("_class_name", "")
    if kind not in _AUTOENCODERS:
        raise InputError(f"{folder}/autoencoder: {kind!r} is not one of {sorted(_AUTOENCODERS)}")
    autoencoder = _from_pretrained(_AUTOENCODERS[kind], folder / "autoencoder", "the checkpoint")
    return cast(OneStepTransformer, freeze(transformer)), cast(Autoencoder, freeze(autoencoder))


def _read_config(folder: Path) -> dict:
    try:
        return dict(json.loads((folder / "config.json").read_text()))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: is not a model folder ({error}); check the path") from None


def _from_pretrained(kind: type[ModelMixin], folder: Path, what: str) -> Any:
    _read_config(folder)
    try:
        return kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{folder}: cannot be loaded as {kind.__name__} for {what}: {reason}") from None


def _prompt(model: ModelConfig, text_dim: int) -> torch.Tensor:
    assert model.prompt_embedding is not None
    try:
        prompt = load_file(model.prompt_embedding)["prompt"]
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{model.prompt_embedding}: no prompt embedding can be read from it ({error}); "
            "model.prompt_embedding must name a safetensors file with a tensor `prompt` (tokens, width)"
        ) from None
    if prompt.ndim != 2 or prompt.shape[1] != text_dim:
        raise InputError(
            f"{model.prompt_embedding}: the prompt is {tuple(prompt.shape)}, but the transformer needs "
            f"(tokens, {text_dim})"
        )
    return prompt
