"""Building and loading the parts of the model: presets, stage checkpoints, autoencoders."""

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
from vividface.models.autoencoders import Autoencoder, DCTAutoencoder, WanAutoencoder, freeze
from vividface.models.prompt import load_prompt
from vividface.models.tiny_autoencoder import TinyWanAutoencoder
from vividface.models.transformer import OneStepTransformer

# About 6M parameters: small enough to train in minutes on one CPU core.
NANO: dict[str, Any] = {
    "num_attention_heads": 4,
    "attention_head_dim": 64,
    "in_channels": 768,
    "out_channels": 768,
    "text_dim": 16,
    "freq_dim": 64,
    "ffn_dim": 768,
    "num_layers": 4,
    "prompt_repeats": [1],
    "clip_frames": 17,
    "clip_size": 128,
}
# Wan 2.1 T2V 1.3B: what `OneStepTransformer` and `WanAutoencoder` are without arguments.
WAN_1_3B: dict[str, Any] = {}
_AUTOENCODERS: dict[str, type[ModelMixin]] = {
    "DCTAutoencoder": DCTAutoencoder,
    "WanAutoencoder": WanAutoencoder,
    "AutoencoderKLWan": WanAutoencoder,
    "TinyWanAutoencoder": TinyWanAutoencoder,
}


def random_model(preset: str, dtype: torch.dtype = torch.float32) -> tuple[OneStepTransformer, Autoencoder]:
    """A preset's transformer and autoencoder with random weights, frozen: for tests and benchmarks.

    Built on torch's default device; on `meta` neither memory nor time is spent. As when they are loaded, what
    diffusers keeps in float32 stays so.
    """
    transformer = OneStepTransformer(**(NANO if preset == "nano" else WAN_1_3B))
    autoencoder = DCTAutoencoder() if preset == "nano" else WanAutoencoder().to_channels_last()
    for model in (transformer, autoencoder):
        kept = set(model._keep_in_fp32_modules or ())
        for name, parameter in model.named_parameters():
            if not kept & set(name.split(".")):
                parameter.data = parameter.data.to(dtype)
    return cast(OneStepTransformer, freeze(transformer)), cast(Autoencoder, freeze(autoencoder))


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
    transformer = load_transformer(model.transformer)
    transformer.register_to_config(prediction=model.prediction, timestep=model.timestep)
    assert model.prompt_embedding is not None
    transformer.set_prompt(load_prompt(model.prompt_embedding, transformer.config.text_dim))
    return transformer


def build_autoencoder(model: ModelConfig) -> Autoencoder:
    """The configured autoencoder, frozen: the DCT of `nano`, or what `model.autoencoder` holds."""
    if model.preset == "nano":
        return cast(Autoencoder, freeze(DCTAutoencoder()))
    assert model.autoencoder is not None
    return load_autoencoder(model.autoencoder)


def load_autoencoder(folder: Path | str, dtype: torch.dtype = torch.float32) -> Autoencoder:
    """Read a diffusers folder of Wan's autoencoder, the tiny one, or the DCT; frozen.

    Raises:
        InputError: the folder holds none of them.
    """
    kind = _read_config(Path(folder)).get("_class_name", "")
    if kind not in _AUTOENCODERS:
        raise InputError(f"{folder}: {kind!r} is no autoencoder that is known: {', '.join(_AUTOENCODERS)}")
    autoencoder = _from_pretrained(_AUTOENCODERS[kind], Path(folder), dtype)
    if isinstance(autoencoder, WanAutoencoder):
        autoencoder.to_channels_last()
    return cast(Autoencoder, freeze(autoencoder))


def load_transformer(folder: Path | str, dtype: torch.dtype = torch.float32) -> OneStepTransformer:
    """Read a transformer's diffusers folder; `InputError` if it is none."""
    return cast(OneStepTransformer, _from_pretrained(OneStepTransformer, Path(folder), dtype))


def save_checkpoint(folder: Path | str, transformer: OneStepTransformer, autoencoder: Autoencoder) -> None:
    """Write a self-contained checkpoint: a folder that `OneStepFacePipeline.from_pretrained` reads too.

    It holds `transformer/` and `autoencoder/`, each a diffusers folder, and the index that names their
    classes.
    """
    with atomic_path(folder) as temporary:
        for name, model in (("transformer", transformer), ("autoencoder", cast(ModelMixin, autoencoder))):
            # Where a part was read from is nothing that a copy elsewhere should tell.
            model.register_to_config(_name_or_path=None)
            model.save_pretrained(temporary / name)
        update_index(temporary)


def update_index(folder: Path) -> list[str]:
    """Write a checkpoint's `model_index.json` if all parts are there; returns the names of those missing."""
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


def load_checkpoint(
    folder: Path | str, dtype: torch.dtype = torch.float32
) -> tuple[OneStepTransformer, Autoencoder]:
    """Read what `save_checkpoint` wrote; both parts are frozen.

    Args:
        folder: of the checkpoint.
        dtype: of the weights; what diffusers keeps in float32 stays so.

    Raises:
        InputError: the folder is not a checkpoint, or is not complete.
    """
    folder = Path(folder)
    transformer = load_transformer(folder / "transformer", dtype)
    if not len(transformer.prompt):
        raise InputError(
            f"{folder}: its transformer holds no prompt embedding; add one with "
            f"`vividface import-checkpoint FILE {folder}`, FILE being what the rule empty_prompt wrote"
        )
    autoencoder = load_autoencoder(folder / "autoencoder", dtype)
    return cast(OneStepTransformer, freeze(transformer)), autoencoder


def _read_config(folder: Path) -> dict:
    try:
        return dict(json.loads((folder / "config.json").read_text()))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: is not a model folder ({error}); check the path") from None


def _from_pretrained(kind: type[ModelMixin], folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    _read_config(folder)
    try:
        return kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, dtype=dtype)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{folder}: cannot be loaded as {kind.__name__}: {reason}") from None
