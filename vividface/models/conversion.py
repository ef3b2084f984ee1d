"""Converting published checkpoints into this project's format.

Sources are Wan's original files (the transformer's safetensors, `Wan2.1_VAE.pth`), checkpoints of
trainers that wrap them (DiffSynth, Lightning), TAEHV's `taew2_1.pth`, diffusers' folders and files, and an
embedding of the empty prompt. Nothing that is read may run code.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.single_file_utils import (
    convert_wan_transformer_to_diffusers,
    convert_wan_vae_to_diffusers,
)
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.models.autoencoders import WanAutoencoder
from vividface.models.checkpoints import load_transformer, update_index
from vividface.models.tiny_autoencoder import TinyWanAutoencoder
from vividface.models.transformer import OneStepTransformer, Prediction

# Where trainers put the weights among what else they store.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "generator")
# All of Wan's transformers have heads of this width; the number of heads follows.
_HEAD = 128
_SHOWN = 4
_Weights = dict[str, Tensor]


@dataclass(frozen=True)
class _Format:
    """A published layout of one part.

    Attributes:
        part: `transformer`, `autoencoder` or `prompt`.
        title: name for the user.
        anchors: keys that only this layout has, all of them.
    """

    part: str
    title: str
    anchors: tuple[str, ...]


_WAN_DIT = _Format("transformer", "Wan's transformer", ("blocks.0.self_attn.q.weight", "head.modulation"))
_DIFFUSERS_DIT = _Format("transformer", "diffusers' transformer", ("blocks.0.attn1.to_q.weight",))
_WAN_VAE = _Format("autoencoder", "Wan's autoencoder", ("encoder.conv1.weight", "decoder.head.2.weight"))
_DIFFUSERS_VAE = _Format("autoencoder", "diffusers' autoencoder", ("encoder.conv_in.weight",))
_TAEHV = _Format("autoencoder", "TAEHV", ("encoder.4.conv.0.weight", "decoder.22.weight"))
_PROMPT = _Format("prompt", "a prompt embedding", ("prompt",))
# Those whose folders' config.json is diffusers'; Wan's original release has one of its own.
_WITH_CONFIG = (_DIFFUSERS_DIT, _DIFFUSERS_VAE, _TAEHV)
# The prompt last: our own transformers carry one beside their other keys.
_FORMATS = (_WAN_DIT, _DIFFUSERS_DIT, _WAN_VAE, _DIFFUSERS_VAE, _TAEHV, _PROMPT)


@dataclass(frozen=True)
class _Part:
    """A part as a source holds it.

    Attributes:
        kind: layout of the part.
        weights: tensors, without prefixes before their names.
        config: config.json of a diffusers folder, or None.
    """

    kind: _Format
    weights: _Weights
    config: dict[str, Any] | None = None


@dataclass(frozen=True)
class Imported:
    """The outcome of an import.

    Attributes:
        parts: descriptions of the parts that were imported, a line each.
        missing: names of the parts that the checkpoint still lacks.
    """

    parts: list[str]
    missing: list[str]


def import_checkpoint(
    sources: Iterable[Path | str],
    output: Path | str,
    *,
    prediction: Prediction = "wan",
    timestep: float = 400.0,
    overwrite: bool = False,
) -> Imported:
    """Convert checkpoints and write, or complete, a checkpoint folder.

    Args:
        sources: files or folders in the formats of the module's description, which are recognised by their
            keys; together they may hold each part once.
        output: folder of the checkpoint; parts that it holds already stay.
        prediction: sign of the transformer's prediction; `wan` for Wan and the authors' release. A diffusers
            folder that states its own keeps it.
        timestep: t* of the transformer; a diffusers folder that states its own keeps it.
        overwrite: whether existing parts may be replaced.

    Raises:
        InputError: a source cannot be read, is in no known format, has unknown or missing keys or wrong
            shapes, or a part exists already.
    """
    output = Path(output)
    models: dict[str, ModelMixin] = {}
    lines: dict[str, str] = {}
    prompt: Tensor | None = None
    for source in map(Path, sources):
        for part in _recognise(source):
            name = part.kind.part
            if name in lines:
                raise InputError(f"{source}: holds the {name} a second time; give each part once")
            if part.kind is _PROMPT:
                prompt = part.weights["prompt"]
            else:
                models[name] = _build(source, part, prediction=prediction, timestep=timestep)
            lines[name] = f"{name}: {part.kind.title}, {_size(part.weights)} M parameters, from {source}"
    existing = [name for name in models if (output / name).exists()]
    if existing and not overwrite:
        raise InputError(f"{output}/{existing[0]}: exists already; add --overwrite to replace it")
    if prompt is not None:
        if "transformer" not in models:
            models["transformer"] = load_transformer(output / "transformer")
            lines["transformer"] = f"transformer: the one in {output}"
        try:
            models["transformer"].set_prompt(prompt)
        except ValueError as error:
            raise InputError(
                f"{lines['prompt']}: {error}; take the one made with Wan's own text encoder"
            ) from None
    for name, model in models.items():
        with atomic_path(output / name) as temporary:
            model.save_pretrained(temporary)
    # The prompt, which is stored in the transformer, comes last.
    names = [*models, "prompt"] if prompt is not None else list(models)
    return Imported([lines[name] for name in names], update_index(output))


def _recognise(source: Path) -> list[_Part]:
    """The parts that a file or folder holds."""
    if source.is_dir():
        return _recognise_folder(source)
    weights = _unwrap(_read(source))
    parts: list[_Part] = []
    rest = set(weights)
    for kind in _FORMATS:
        for prefix in _prefixes(rest, kind.anchors):
            keys = {key for key in rest if key.startswith(prefix)}
            parts.append(_Part(kind, {key.removeprefix(prefix): weights[key] for key in sorted(keys)}))
            rest -= keys
    if not parts:
        raise InputError(
            f"{source}: is in no format that is known ({', '.join(kind.title for kind in _FORMATS)}); "
            f"its keys begin with {_listed(sorted(weights))}"
        )
    if rest:
        raise InputError(f"{source}: has keys that belong to no part: {_listed(sorted(rest))}")
    return parts


def _recognise_folder(folder: Path) -> list[_Part]:
    """A model's folder, or one that holds several: a diffusers pipeline, or Wan's original release."""
    parts: list[_Part] = []
    files = sorted(folder.glob("*.safetensors"))
    if (folder / "config.json").is_file() and files:
        weights: _Weights = {}
        for file in files:
            weights |= _read(file)
        config = json.loads((folder / "config.json").read_text())
        kinds = [kind for kind in _FORMATS if set(kind.anchors) <= set(weights)]
        if kinds:
            parts.append(_Part(kinds[0], weights, config if kinds[0] in _WITH_CONFIG else None))
        parts += [part for file in folder.glob("Wan2.1_VAE.*") for part in _recognise(file)]
    else:
        for name in ("transformer", "autoencoder", "vae"):
            if (folder / name / "config.json").is_file():
                parts += _recognise_folder(folder / name)
    if not parts:
        raise InputError(
            f"{folder}: holds no model that is known; give a diffusers folder, Wan's release, or a file"
        )
    return parts


def _build(source: Path, part: _Part, *, prediction: Prediction, timestep: float) -> ModelMixin:
    kind, weights = part.kind, part.weights
    if kind is _WAN_DIT:
        weights = convert_wan_transformer_to_diffusers(weights)
    if kind is _WAN_VAE:
        weights = convert_wan_vae_to_diffusers(weights)
    model: type[ModelMixin]
    try:
        if kind.part == "transformer":
            model = OneStepTransformer
            config = _transformer_config(weights) | {"prediction": prediction, "timestep": timestep}
            if "prompt" not in weights:
                config["prompt_repeats"] = None
            config |= _known(model, part.config)
            weights.setdefault("prompt", torch.zeros(0, config["text_dim"]))
        elif kind is _TAEHV:
            model, weights = TinyWanAutoencoder, _last_time_step(weights)
            config = _known(model, part.config)
        else:
            model = WanAutoencoder
            config = {"base_dim": weights["encoder.conv_in.weight"].shape[0]} | _known(model, part.config)
        return _filled(model, config, weights, where=f"{source}: does not fit {kind.title}")
    except KeyError as error:
        raise InputError(f"{source}: is not {kind.title}: the key {error} is missing") from None


def _filled(model: type[ModelMixin], config: dict[str, Any], weights: _Weights, *, where: str) -> ModelMixin:
    """Build a model from weights, whose keys must match exactly."""
    with torch.device("meta"):
        built = model.from_config(config)
    expected = built.state_dict()
    unknown = sorted(set(weights) - set(expected))
    missing = sorted(set(expected) - set(weights))
    wrong = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    problems = [("unknown keys", unknown), ("missing keys", missing), ("wrong shapes", wrong)]
    told = "; ".join(f"{what}: {_listed(keys)}" for what, keys in problems if keys)
    if told:
        raise InputError(f"{where} ({model.__name__}): {told}")
    built.load_state_dict(weights, assign=True)
    return built


def _transformer_config(weights: _Weights) -> dict[str, Any]:
    patch = weights["patch_embedding.weight"]
    blocks = {int(key.split(".")[1]) for key in weights if key.startswith("blocks.")}
    return {
        "patch_size": list(patch.shape[2:]),
        "num_attention_heads": patch.shape[0] // _HEAD,
        "attention_head_dim": _HEAD,
        "in_channels": patch.shape[1],
        "out_channels": weights["proj_out.weight"].shape[0] // math.prod(patch.shape[2:]),
        "text_dim": weights["condition_embedder.text_embedder.linear_1.weight"].shape[1],
        "freq_dim": weights["condition_embedder.time_embedder.linear_1.weight"].shape[1],
        "ffn_dim": weights["blocks.0.ffn.net.0.proj.weight"].shape[0],
        "num_layers": max(blocks) + 1,
    }


def _last_time_step(weights: _Weights) -> _Weights:
    """Of layers that were trained to make more frames than Wan's rate asks for, the last frame's rows."""
    with torch.device("meta"):
        expected = TinyWanAutoencoder().state_dict()
    return {
        key: value[-len(expected[key]) :] if key.endswith(".conv.weight") and key in expected else value
        for key, value in weights.items()
    }


def _known(model: type[ModelMixin], config: dict[str, Any] | None) -> dict[str, Any]:
    """The keys of a diffusers config.json that the model takes."""
    names = model._get_init_keys(model)
    return {key: value for key, value in (config or {}).items() if key in names}


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: holds more than weights, and what else it holds could run code; "
            "ask its author for the state_dict alone, or for safetensors"
        ) from None
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: cannot be read as a checkpoint: {reason}") from None


def _unwrap(content: Any) -> _Weights:
    """The tensors by name, without the wrappers of trainers."""
    while isinstance(content, dict):
        inner = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict):
        return {}
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _prefixes(keys: set[str], anchors: tuple[str, ...]) -> list[str]:
    """The prefixes of a part's keys, one for each place where all of its anchors are."""
    first = anchors[0]
    candidates = {key.removesuffix(first) for key in keys if key == first or key.endswith(f".{first}")}
    return sorted(prefix for prefix in candidates if all(prefix + anchor in keys for anchor in anchors))


def _listed(keys: list[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _size(weights: _Weights) -> str:
    return f"{sum(tensor.numel() for tensor in weights.values()) / 1e6:.1f}"
