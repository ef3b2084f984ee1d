"""Loading what a video is enhanced with: the model and the face backend.

For `vividface enhance` and `enhance_video`. `OneStepFacePipeline` is the model alone, for frames in memory;
`vividface.models.checkpoints` reads its parts, to train them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from vividface.config import EnhanceConfig, FacesConfig, validate_enhance
from vividface.devices import choose_device, choose_dtype
from vividface.errors import InputError, MissingWeightsError
from vividface.faces.base import FaceBackend
from vividface.faces.hands import HandFinder
from vividface.faces.load import load_backend
from vividface.models.attention import choose_attention
from vividface.models.autoencoders import WanAutoencoder
from vividface.models.bundled import BUNDLED
from vividface.models.checkpoints import load_autoencoder, load_checkpoint
from vividface.restoration.base import StrengthRestorer
from vividface.restoration.compiled import CompiledRestorer, Tell
from vividface.restoration.pipeline import OneStepFacePipeline
from vividface.weights.cache import is_cached
from vividface.weights.published import PUBLISHED, is_whole, published_folder

Mode = Literal["full", "crop"]
# The models that have a name.
MODELS = (*BUNDLED, "vividface-1.3b")
# The face backends whose parsing is an outline, which does not tell what lies in front of the face.
_OUTLINES = ("mediapipe", "dlib")


@dataclass(frozen=True, kw_only=True)
class RestorerOptions:
    """Options of the model and the face backend.

    Attributes:
        model: name of `MODELS`, or folder of a checkpoint; None takes `vividface-1.3b` where it and a GPU
            exist, else `nano`, which comes with the package.
        mode: `full` finds and pastes faces, `crop` restores whole frames.
        device: `cpu`, `cuda`, or `auto`, a GPU if there is one.
        dtype: type of the weights, `fp32`, `bf16`, or `auto`; see `choose_dtype`.
        autoencoder: `taew2_1`, or folder of another autoencoder for the same latents; None takes the
            checkpoint's.
        faces: face backend of `full`: `mediapipe`, `dlib`, `facexlib`, or `auto`: facexlib on a GPU, if it
            and its weights are here, else mediapipe.
        size: side of a face's crop, px; None takes that of the training clips.
        tile: whether large frames are encoded and decoded in tiles; slower, in less memory.
        offload: whether the GPU holds only the part that computes.
        attention: diffusers' name of what computes the self-attention; see `choose_attention`. None takes
            torch's own.
        compile: whether the model is compiled; takes a minute or more at the first window.
    """

    model: str | Path | None = None
    mode: Mode = "full"
    device: str = "auto"
    dtype: str = "auto"
    autoencoder: Path | None = None
    faces: str = "auto"
    size: int | None = None
    tile: bool = False
    offload: bool = False
    attention: str | None = None
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class FaceRestorer:
    """A model and a face backend, ready to enhance videos.

    Attributes:
        restore: function of frames (F, H, W, 3), uint8 or uint16, and of a strength that gives the same shape
            and type.
        size: side of a face's crop in the mode `full`, px.
        clip_frames: number of frames of the training clips: the default window.
        backend: face backend; None restores whole frames (the mode `crop`).
        hands: networks that find hands in front of faces; None where the backend's parsing tells them.
        fingerprint: values that tell this restorer apart from another, for an interrupted run.
        description: model and device, for people.
        model: name or folder of the model, as it was given.
        num_repeated: function that gives the number of windows, from the beginning on, that were computed
            again in float32.
        has_one_length: whether the model wants clips of one length, since it is compiled for each.
    """

    restore: StrengthRestorer
    size: int
    clip_frames: int
    backend: FaceBackend | None
    fingerprint: dict[str, Any]
    hands: HandFinder | None = None
    description: str = ""
    model: str = ""
    num_repeated: Callable[[], int] = lambda: 0
    has_one_length: bool = False


def load_restorer(options: RestorerOptions, *, tell: Tell | None = None) -> FaceRestorer:
    """Load the model and the face backend.

    Args:
        options: options of the model and the face backend.
        tell: function that is called with a line for the user, where something takes long; None: nobody is
            told.

    Raises:
        InputError: the weights do not exist, a folder holds no such model, the parts do not fit, or the model
            cannot be compiled or computed as asked for.
        MissingWeightsError: weights of the face backend are not in the cache.
    """
    device = choose_device(options.device)
    name = options.model if options.model is not None else default_model(device)
    weights = checkpoint_folder(name)
    pipeline = _load_pipeline(weights, options, device)
    config = pipeline.transformer.config
    size = options.size or int(config.clip_size)
    if size % 16:
        raise InputError(f"--size {size}: is not a multiple of 16")
    faces = _backend_name(options, device) if options.mode == "full" else None
    backend = _load_backend(faces, device) if faces else None
    fingerprint = {
        "weights": str(weights.resolve()),
        "written": max(file.stat().st_mtime_ns for file in weights.rglob("*.safetensors")),
        "autoencoder": pipeline.autoencoder.fingerprint,
        "dtype": str(pipeline.transformer.dtype),
        "size": size,
        "faces": type(backend).__name__,
        "attention": options.attention,
        "compile": options.compile,
    }
    restore: StrengthRestorer = pipeline.restore
    if options.compile:
        restore = CompiledRestorer(restore, tell or (lambda _: None))
    return FaceRestorer(
        restore=restore,
        size=size,
        clip_frames=int(config.clip_frames),
        backend=backend,
        hands=HandFinder() if faces in _OUTLINES else None,
        fingerprint=fingerprint,
        description=f"{name} on the {'GPU' if device == 'cuda' else 'CPU'}"
        + (f", faces found by {faces}" if faces else ""),
        model=str(name),
        num_repeated=lambda: pipeline.num_repeated,
        has_one_length=options.compile,
    )


def default_model(device: str) -> str:
    """The model where none is named.

    Args:
        device: `cpu` or `cuda`.
    """
    large = "vividface-1.3b"
    return large if device == "cuda" and is_here(large) else "nano"


def is_here(model: str) -> bool:
    """Whether a model of `MODELS` comes with the package, or has been fetched."""
    return model in BUNDLED or is_whole(published_folder(model))


def checkpoint_folder(model: str | Path) -> Path:
    """The folder of a model's checkpoint.

    Args:
        model: name of `MODELS`, or folder of a checkpoint.

    Raises:
        InputError: there is no such folder.
        MissingWeightsError: the model has not been fetched.
    """
    name = str(model)
    if name in BUNDLED:
        return BUNDLED[name]
    if name in MODELS:
        return _fetched_folder(name)
    if not Path(model).exists():
        raise InputError(f"{model}: is neither a checkpoint folder nor a model's name: {', '.join(MODELS)}")
    return Path(model)


def _autoencoder_folder(autoencoder: Path) -> Path:
    """A folder of an autoencoder, or that of a published one."""
    is_name = str(autoencoder) in PUBLISHED and not autoencoder.exists()
    return _fetched_folder(str(autoencoder)) if is_name else autoencoder


def _fetched_folder(name: str) -> Path:
    """The folder of a published model; `MissingWeightsError` if it has not been fetched."""
    folder = published_folder(name)
    if not is_whole(folder):
        raise MissingWeightsError(
            f"{name}: {PUBLISHED[name].what}, is not here; run `vividface weights fetch {name}` on a machine "
            "with network access"
        )
    return folder


def enhance_config(
    restorer: FaceRestorer, *, window: int | None = None, overlap: int | None = None, **values: Any
) -> EnhanceConfig:
    """The settings of an enhancement, where some are not given.

    Args:
        restorer: loaded model and face backend.
        window: number of frames restored at once; None takes that of the training clips.
        overlap: number of frames blended between windows; None takes a tenth of a window.
        values: values of other keys of `EnhanceConfig`.

    Raises:
        InputError: a value is wrong.
    """
    window = window or restorer.clip_frames
    if overlap is None:
        overlap = min(max(window // 10, 1), window // 2)
    return validate_enhance({"window": window, "overlap": overlap, **values})


def _load_pipeline(weights: Path, options: RestorerOptions, device: str) -> OneStepFacePipeline:
    dtype = choose_dtype(options.dtype, device)
    transformer, own = load_checkpoint(weights, dtype=dtype)
    chosen = own
    if options.autoencoder is not None:
        chosen = load_autoencoder(_autoencoder_folder(options.autoencoder), dtype=dtype)
    if chosen.latent_channels != transformer.config.in_channels:
        raise InputError(
            f"{options.autoencoder or weights}: its latents have {chosen.latent_channels} channels, but the "
            f"transformer takes {transformer.config.in_channels}"
        )
    if options.tile:
        if not isinstance(chosen, WanAutoencoder):
            raise InputError("--tile: only Wan's own autoencoder works in tiles; leave it out")
        if options.compile:
            raise InputError("--tile: makes pictures of several sizes, --compile wants one; leave one out")
        chosen.enable_tiling()
    pipeline = OneStepFacePipeline(transformer, chosen)
    if options.offload and device == "cuda":
        pipeline.enable_model_cpu_offload()
    else:
        pipeline.to(device)
    if options.attention is not None:
        choose_attention(transformer, options.attention, device)
    if options.compile:
        # The compiler takes long to import.
        from vividface.models.compilation import compile_parts

        compile_parts(transformer, chosen)
    return pipeline


def _backend_name(options: RestorerOptions, device: str) -> str:
    """The face backend; where none is named, one that is whole without a download."""
    if options.faces != "auto":
        return options.faces
    if device == "cpu" or find_spec("facexlib") is None:
        return "mediapipe"
    needed = (FacesConfig.of_backend("facexlib").detector, "bisenet", "arcface")
    return "facexlib" if all(map(is_cached, needed)) else "mediapipe"


def _load_backend(name: str, device: str) -> FaceBackend:
    return load_backend(FacesConfig.of_backend(name), device, threads=torch.get_num_threads())
