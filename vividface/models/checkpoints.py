"""Building, loading and saving the parts of the model: checkpoints, transformers, autoencoders.

For training and conversion, which need the parts. To restore frames take `OneStepFacePipeline`, to enhance
files `vividface.enhance_video`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError

from vividface.config import ModelConfig
from vividface.errors import InputError
from vividface.files import atomic_path, write_json
from vividface.models.autoencoders import DCTAutoencoder, WanAutoencoder
from vividface.models.base import Autoencoder, freeze
from vividface.models.bundled import BUNDLED
from vividface.models.presets import nano_settings
from vividface.models.prompt import load_prompt
from vividface.models.tiny_autoencoder import TinyWanAutoencoder
from vividface.models.transformer import OneStepTransformer
from vividface.models.wan_layers import use_fast_layers

_AUTOENCODERS: dict[str, type[ModelMixin]] = {
    "DCTAutoencoder": DCTAutoencoder,
    "WanAutoencoder": WanAutoencoder,
    "AutoencoderKLWan": WanAutoencoder,
    "TinyWanAutoencoder": TinyWanAutoencoder,
}


def build_transformer(
    config: ModelConfig, seed: int, *, dtype: torch.dtype = torch.float32
) -> OneStepTransformer:
    """The transformer that training starts from.

    `nano` is a checkpoint's, or random but for its zero output layer, so that it restores every video to
    itself. `wan-1.3b` is read from `config.transformer`, a diffusers folder of Wan 2.1 T2V 1.3B, and the
    stored prompt embedding.

    Args:
        config: preset, and folders of pretrained parts.
        seed: seed of random weights.
        dtype: type of the weights that are read; random ones, and those that diffusers keeps so, are float32.

    Raises:
        InputError: a folder or file is missing or does not fit the preset.
    """
    if config.preset == "nano":
        torch.manual_seed(seed)
        transformer: OneStepTransformer
        if config.transformer is not None:
            transformer, _ = load_checkpoint(_nano_start(config), dtype=dtype)
            for name in ("prediction", "timestep"):
                if transformer.config[name] != getattr(config, name):
                    raise InputError(
                        f"model.{name}: is {getattr(config, name)}, but {config.transformer} was trained "
                        f"with {transformer.config[name]}; write that"
                    )
            transformer.requires_grad_(requires_grad=True)
            return transformer
        transformer = OneStepTransformer(
            **nano_settings(config.nano), prediction=config.prediction, timestep=config.timestep
        )
        transformer.zero_output()
        return transformer
    assert config.transformer is not None
    transformer = load_transformer(config.transformer, dtype=dtype)
    transformer.register_to_config(prediction=config.prediction, timestep=config.timestep)
    assert config.prompt_embedding is not None
    transformer.set_prompt(load_prompt(config.prompt_embedding, transformer.config.text_dim))
    return transformer


def build_autoencoder(config: ModelConfig, *, dtype: torch.dtype = torch.float32) -> Autoencoder:
    """The configured autoencoder, frozen.

    For `nano` that of the checkpoint which it starts from, or its DCT; else the one in `config.autoencoder`.

    Args:
        config: preset, and folders of pretrained parts.
        dtype: type of the weights; those that diffusers keeps in float32 stay so.

    Raises:
        InputError: the folder holds no autoencoder.
    """
    if config.preset == "nano":
        if config.transformer is not None:
            return load_autoencoder(_nano_start(config) / "autoencoder", dtype=dtype)
        shape = config.nano
        autoencoder: Autoencoder = freeze(DCTAutoencoder(decay=shape.decay, lapped=shape.lapped))
        return autoencoder
    assert config.autoencoder is not None
    return load_autoencoder(config.autoencoder, dtype=dtype)


def _nano_start(config: ModelConfig) -> Path:
    """The checkpoint that `nano` starts from."""
    assert config.transformer is not None
    return BUNDLED["nano"] if config.transformer == Path("bundled") else config.transformer


def load_checkpoint(
    folder: Path | str, *, dtype: torch.dtype = torch.float32
) -> tuple[OneStepTransformer, Autoencoder]:
    """Read the two parts of a checkpoint, frozen: to train them further, or to build a pipeline of.

    Args:
        folder: folder of the checkpoint, as `save_checkpoint` writes it.
        dtype: type of the weights; those that diffusers keeps in float32 stay so.

    Raises:
        InputError: the folder is no checkpoint, or is not complete.
    """
    folder = Path(folder)
    transformer = load_transformer(folder / "transformer", dtype=dtype)
    if not len(transformer.prompt):
        raise InputError(
            f"{folder}: its transformer holds no prompt embedding; add one with "
            f"`vividface import-checkpoint FILE {folder}`, FILE being what the rule empty_prompt wrote"
        )
    autoencoder = load_autoencoder(folder / "autoencoder", dtype=dtype)
    return freeze(transformer), autoencoder


def load_autoencoder(folder: Path | str, *, dtype: torch.dtype = torch.float32) -> Autoencoder:
    """Read a diffusers folder of Wan's autoencoder, the tiny one, or the DCT; frozen.

    Args:
        folder: folder of the autoencoder.
        dtype: type of the weights; those that diffusers keeps in float32 stay so.

    Raises:
        InputError: the folder holds none of them.
    """
    name = _read_config(Path(folder)).get("_class_name", "")
    if name not in _AUTOENCODERS:
        raise InputError(f"{folder}: {name!r} is no autoencoder that is known: {', '.join(_AUTOENCODERS)}")
    autoencoder: Autoencoder = freeze(_from_pretrained(_AUTOENCODERS[name], Path(folder), dtype))
    if isinstance(autoencoder, WanAutoencoder):
        autoencoder.to_channels_last()
        use_fast_layers(autoencoder)
    return autoencoder


def load_transformer(folder: Path | str, *, dtype: torch.dtype = torch.float32) -> OneStepTransformer:
    """Read a transformer's diffusers folder.

    Args:
        folder: folder of the transformer.
        dtype: type of the weights; those that diffusers keeps in float32 stay so.

    Raises:
        InputError: the folder holds no transformer.
    """
    transformer: OneStepTransformer = _from_pretrained(OneStepTransformer, Path(folder), dtype)
    return transformer


def save_checkpoint(folder: Path | str, transformer: OneStepTransformer, autoencoder: Autoencoder) -> None:
    """Write a self-contained checkpoint, atomically; `OneStepFacePipeline.from_pretrained` reads it too.

    It holds `transformer/` and `autoencoder/`, each a diffusers folder, and the index that names their
    classes.

    Args:
        folder: folder of the checkpoint.
        transformer: transformer with its prompt.
        autoencoder: autoencoder of the transformer's latents.
    """
    with atomic_path(folder) as temporary:
        for name, model in (("transformer", transformer), ("autoencoder", cast(ModelMixin, autoencoder))):
            # Where a part was read from is nothing that a copy elsewhere should tell.
            model.register_to_config(_name_or_path=None)
            model.save_pretrained(temporary / name)
        update_index(temporary)


def update_index(folder: Path) -> list[str]:
    """Write a checkpoint's `model_index.json` if both parts exist; returns the names of missing parts."""
    classes = {"OneStepTransformer": OneStepTransformer} | _AUTOENCODERS
    index: dict[str, Any] = {"_class_name": "OneStepFacePipeline"}
    missing = []
    for part in ("transformer", "autoencoder"):
        if not (folder / part / "config.json").is_file():
            missing.append(part)
            continue
        kind = classes[_read_config(folder / part)["_class_name"]]
        index[part] = [kind.__module__, kind.__name__]
    if not missing:
        write_json(folder / "model_index.json", index)
        if not _read_config(folder / "transformer")["prompt_repeats"]:
            missing.append("prompt embedding")
    return missing


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "config.json").read_text()))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: is not a model folder ({error}); check the path") from None


def _from_pretrained(kind: type[ModelMixin], folder: Path, dtype: torch.dtype) -> Any:
    _read_config(folder)
    try:
        return kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, dtype=dtype)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{folder}: cannot be loaded as {kind.__name__}: {reason}") from None
