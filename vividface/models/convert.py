"""Bringing published checkpoints into this project's format.

What is read: Wan's original files (the transformer's safetensors, `Wan2.1_VAE.pth`), checkpoints of
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
from vividface.models.presets import load_transformer, update_index
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
        title: as it is named to the user.
        anchors: keys that this layout alone has, all of them.
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
class Imported:
    """What was found: a line per part, and whether the checkpoint is complete now."""

    found: list[str]
    missing: list[str]


def import_checkpoint(
    sources: Iterable[Path | str],
    output: Path | str,
    prediction: Prediction = "wan",
    timestep: float = 400.0,
    overwrite: bool = False,
) -> Imported:
    """Convert checkpoints and write, or complete, a checkpoint folder.

    Args:
        sources: files or folders, each in any of the formats of the module's description, that is recognised
            by its keys; together they may hold each part once.
        output: the checkpoint's folder; parts that it holds already stay.
        prediction: the sign in which the transformer predicts; Wan and the authors' release: `wan`. That of
            a diffusers folder which states its own is kept.
        timestep: t*, likewise.
        overwrite: whether parts that are there may be replaced.

    Raises:
        InputError: a source cannot be read, is in no known format, has unknown or missing keys or wrong
            shapes, or a part is there already.
    """
    output = Path(output)
    parts: dict[str, tuple[ModelMixin | Tensor, str]] = {}
    for source in map(Path, sources):
        for kind, weights, config in _recognise(source):
            if kind.part in parts:
                raise InputError(f"{source}: holds the {kind.part} a second time; give each part once")
            part = _build(source, kind, weights, config, prediction, timestep)
            parts[kind.part] = (
                part,
                f"{kind.part}: {kind.title}, {_size(weights)} M parameters, from {source}",
            )
    there = [name for name in parts if name != "prompt" and (output / name).exists()]
    if there and not overwrite:
        raise InputError(f"{output}/{there[0]}: exists already; add --overwrite to replace it")
    prompt = parts.pop("prompt", None)
    if prompt is not None:
        parts["transformer"] = _with_prompt(parts.get("transformer"), output, prompt)
    for name, (part, _) in parts.items():
        assert isinstance(part, ModelMixin)
        with atomic_path(output / name) as temporary:
            part.save_pretrained(temporary)
    found = [line for _, line in parts.values()] + ([prompt[1]] if prompt is not None else [])
    return Imported(found, update_index(output))


def _with_prompt(
    given: tuple[ModelMixin | Tensor, str] | None, output: Path, prompt: tuple[ModelMixin | Tensor, str]
) -> tuple[ModelMixin | Tensor, str]:
    """The transformer, the given one or the one that is there, with its prompt."""
    if given is None:
        given = load_transformer(output / "transformer"), f"transformer: the one in {output}"
    transformer, embedding = given[0], prompt[0]
    assert isinstance(transformer, OneStepTransformer)
    assert isinstance(embedding, Tensor)
    try:
        transformer.set_prompt(embedding)
    except ValueError as error:
        raise InputError(f"{prompt[1]}: {error}; take the one made with Wan's own text encoder") from None
    return given


def _recognise(source: Path) -> list[tuple[_Format, _Weights, dict | None]]:
    """The parts that a file or folder holds, each with its weights, without prefixes, and its config."""
    if source.is_dir():
        return _recognise_folder(source)
    weights = _unwrap(_read(source))
    found: list[tuple[_Format, _Weights, dict | None]] = []
    rest = set(weights)
    for kind in _FORMATS:
        for prefix in _prefixes(rest, kind.anchors):
            keys = {key for key in rest if key.startswith(prefix)}
            found.append((kind, {key.removeprefix(prefix): weights[key] for key in sorted(keys)}, None))
            rest -= keys
    if not found:
        raise InputError(
            f"{source}: is in no format that is known ({', '.join(kind.title for kind in _FORMATS)}); "
            f"its keys begin with {_listed(sorted(weights))}"
        )
    if rest:
        raise InputError(f"{source}: has keys that belong to no part: {_listed(sorted(rest))}")
    return found


def _recognise_folder(folder: Path) -> list[tuple[_Format, _Weights, dict | None]]:
    """A model's folder, or one that holds several: a diffusers pipeline, or Wan's original release."""
    found: list[tuple[_Format, _Weights, dict | None]] = []
    files = sorted(folder.glob("*.safetensors"))
    if (folder / "config.json").is_file() and files:
        weights: _Weights = {}
        for file in files:
            weights |= _read(file)
        config = json.loads((folder / "config.json").read_text())
        kinds = [kind for kind in _FORMATS if set(kind.anchors) <= set(weights)]
        if kinds:
            found.append((kinds[0], weights, config if kinds[0] in _WITH_CONFIG else None))
        found += [part for file in folder.glob("Wan2.1_VAE.*") for part in _recognise(file)]
    else:
        for name in ("transformer", "autoencoder", "vae"):
            if (folder / name / "config.json").is_file():
                found += _recognise_folder(folder / name)
    if not found:
        raise InputError(
            f"{folder}: holds no model that is known; give a diffusers folder, Wan's release, or a file"
        )
    return found


def _build(
    source: Path,
    kind: _Format,
    weights: _Weights,
    config: dict | None,
    prediction: Prediction,
    timestep: float,
) -> ModelMixin | Tensor:
    if kind is _PROMPT:
        return weights["prompt"]
    if kind is _WAN_DIT:
        weights = convert_wan_transformer_to_diffusers(weights)
    if kind is _WAN_VAE:
        weights = convert_wan_vae_to_diffusers(weights)
    try:
        if kind.part == "transformer":
            settings = _transformer_config(weights) | {"prediction": prediction, "timestep": timestep}
            if "prompt" not in weights:
                settings["prompt_repeats"] = None
            settings |= _known(OneStepTransformer, config)
            weights.setdefault("prompt", torch.zeros(0, settings["text_dim"]))
            return _filled(OneStepTransformer, settings, weights, source, kind)
        if kind is _TAEHV:
            return _filled(
                TinyWanAutoencoder, _known(TinyWanAutoencoder, config), _last_time_step(weights), source, kind
            )
        settings = {"base_dim": weights["encoder.conv_in.weight"].shape[0]} | _known(WanAutoencoder, config)
        return _filled(WanAutoencoder, settings, weights, source, kind)
    except KeyError as error:
        raise InputError(f"{source}: is not {kind.title}: the key {error} is missing") from None


def _filled(
    model: type[ModelMixin], config: dict[str, Any], weights: _Weights, source: Path, kind: _Format
) -> ModelMixin:
    """A model with these weights, every one of which it has, and which are all that it has."""
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
        raise InputError(f"{source}: does not fit {kind.title} ({model.__name__}): {told}")
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


def _known(model: type[ModelMixin], config: dict | None) -> dict[str, Any]:
    """What a diffusers config.json says that the model takes."""
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
    """The tensors by name, out of what trainers wrap around them."""
    while isinstance(content, dict):
        inner = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict):
        return {}
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _prefixes(keys: set[str], anchors: tuple[str, ...]) -> list[str]:
    """What stands in front of a part's keys, wherever all of its anchors do."""
    first = anchors[0]
    candidates = {key.removesuffix(first) for key in keys if key == first or key.endswith(f".{first}")}
    return sorted(prefix for prefix in candidates if all(prefix + anchor in keys for anchor in anchors))


def _listed(keys: list[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _size(weights: _Weights) -> str:
    return f"{sum(tensor.numel() for tensor in weights.values()) / 1e6:.1f}"
