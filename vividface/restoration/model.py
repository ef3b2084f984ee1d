"""Loading what `vividface enhance` restores with."""

from __future__ import annotations

from pathlib import Path

import torch

from vividface.config import FacesConfig
from vividface.errors import InputError
from vividface.faces.backend import load_backend
from vividface.models.autoencoders import WanAutoencoder
from vividface.models.presets import load_autoencoder, load_checkpoint
from vividface.restoration.enhance import Model
from vividface.restoration.pipeline import OneStepFacePipeline

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# px, longer side of the image in which faces are looked for: dlib's detector takes its time.
_DETECTION_SIZE = {"dlib": 640, "facexlib": 1024}


def load_pipeline(
    weights: Path,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    autoencoder: Path | None = None,
    tiled: bool = False,
    offload: bool = False,
) -> OneStepFacePipeline:
    """The pipeline of a checkpoint, ready to restore.

    Args:
        weights: folder of the checkpoint.
        device: `cpu` or `cuda`.
        dtype: of the weights.
        autoencoder: folder of another autoencoder for the same latents, e.g. the tiny one, instead of the
            checkpoint's.
        tiled: encode and decode large frames in tiles; slower, in less memory.
        offload: keep on the GPU only the part that computes.

    Raises:
        InputError: a folder holds no such model, or the two do not fit.
    """
    transformer, own = load_checkpoint(weights, dtype)
    chosen = own if autoencoder is None else load_autoencoder(autoencoder, dtype)
    if chosen.latent_channels != transformer.config.in_channels:
        raise InputError(
            f"{autoencoder or weights}: its latents have {chosen.latent_channels} channels, but the "
            f"transformer takes {transformer.config.in_channels}"
        )
    if tiled:
        if not isinstance(chosen, WanAutoencoder):
            raise InputError("--tile: only Wan's own autoencoder works in tiles; leave it out")
        chosen.enable_tiling()
    pipeline = OneStepFacePipeline(transformer, chosen)
    if offload and device == "cuda":
        pipeline.enable_model_cpu_offload()
        return pipeline
    return pipeline.to(device)


def load_model(
    pipeline: OneStepFacePipeline,
    weights: Path,
    mode: str,
    faces: str = "auto",
    size: int | None = None,
    threads: int = 1,
) -> Model:
    """A pipeline as what `enhance` takes.

    Args:
        pipeline: of `load_pipeline`.
        weights: where it comes from.
        mode: `full` finds and pastes faces, `crop` restores whole frames.
        faces: the face backend of `full`: `dlib`, `facexlib`, or `auto`, which is facexlib on a GPU.
        size: px, side of a face's crop; None: that of the clips the checkpoint was trained on.
        threads: for dlib.

    Raises:
        InputError: the size does not fit.
        MissingAssetError: the backend's networks are not there.
    """
    config = pipeline.transformer.config
    size = size or int(config.clip_size)
    if size % 16:
        raise InputError(f"--size {size}: is not a multiple of 16")
    device = pipeline._execution_device.type
    backend = None
    if mode == "full":
        name = ("facexlib" if device == "cuda" else "dlib") if faces == "auto" else faces
        backend = load_backend(
            FacesConfig.model_validate({"backend": name, "detection_size": _DETECTION_SIZE[name]}),
            device,
            threads,
        )
    identity = {
        "weights": str(weights.resolve()),
        "written": max(file.stat().st_mtime_ns for file in weights.rglob("*.safetensors")),
        "autoencoder": pipeline.autoencoder.fingerprint,
        "dtype": str(pipeline.transformer.dtype),
        "size": size,
        "faces": type(backend).__name__,
    }
    return Model(pipeline.restore, size, backend, identity)
