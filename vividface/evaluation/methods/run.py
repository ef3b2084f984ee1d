"""Restoring a benchmark's clips with one method, timed (Table 3)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from vividface.config import FACE_NETWORKS, Config, RestorationConfig
from vividface.devices import choose_dtype, device_name, peak_memory_mb
from vividface.evaluation.methods.builtin import load_builtin
from vividface.evaluation.runs import Run
from vividface.files import atomic_path
from vividface.models.lean import lean_diffusers
from vividface.restoration.base import Restorer
from vividface.restoration.colour import correct_colours
from vividface.restoration.streaming import restore_stream
from vividface.video import probe, read_clip, write_clip


@dataclass(frozen=True)
class Method:
    """A method's restorer and how the tables describe it.

    Attributes:
        restore: function of frames (F, H, W, 3) uint8, RGB, that gives the same shape and type.
        num_steps: number of diffusion steps; 0 for a method without diffusion.
        takes_hq: whether it restores the true clips (the autoencoder's round trip: a ceiling).
        dtype: type of the weights of a model of ours, or empty.
        whole_clips: whether it restores a clip at once, not in windows.
    """

    restore: Restorer
    num_steps: int
    takes_hq: bool = False
    dtype: str = ""
    whole_clips: bool = False


def load_method(name: str, config: Config, *, checkpoint: Path | None, device: str = "cpu") -> Method:
    """A baseline, or a trained variant.

    Args:
        name: name of the method in the configuration.
        config: the experiment; of the baselines, `autoencoder` and `untuned` read their model and its seed,
            and those of aligned faces the face backend and the accepted licences.
        checkpoint: checkpoint of a variant; None for a baseline.
        device: `cpu` or `cuda`.

    Raises:
        MissingWeightsError: a licence is not accepted, or a library or weights are not there.
        InputError: there is no such method, or its weights cannot be loaded.
    """
    if checkpoint is None and name in FACE_NETWORKS:
        from vividface.evaluation.methods.aligned import load_aligned_protocol
        from vividface.evaluation.methods.face_images import load_face_network

        network = load_face_network(name, accepted=config.evaluation.accept_licences, device=device)
        protocol = load_aligned_protocol(config.faces, device)
        return Method(lambda frames: protocol(frames, network), num_steps=0, whole_clips=True)
    if checkpoint is None and name not in ("autoencoder", "untuned"):
        return Method(load_builtin(name), num_steps=0)
    with lean_diffusers():
        from vividface.models.checkpoints import build_autoencoder, build_transformer
        from vividface.restoration.pipeline import OneStepFacePipeline
    dtype = choose_dtype(config.evaluation.dtype, device)
    if name == "autoencoder":
        autoencoder = build_autoencoder(config.model, dtype=dtype)
        pipeline = OneStepFacePipeline(None, autoencoder).to(device)
        return Method(pipeline.restore, num_steps=0, takes_hq=True, dtype=_name(autoencoder.dtype))
    if checkpoint is not None:
        pipeline = OneStepFacePipeline.from_checkpoint(checkpoint, device=device, dtype=dtype)
    else:
        transformer = build_transformer(config.model, config.seed, dtype=dtype).eval()
        pipeline = OneStepFacePipeline(transformer, build_autoencoder(config.model, dtype=dtype)).to(device)
    return Method(pipeline.restore, num_steps=1, dtype=_name(pipeline.transformer.dtype))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def restore_clips(
    name: str,
    method: Method,
    *,
    clips: pd.DataFrame,
    config: RestorationConfig,
    output: Path,
    num_timed_runs: int = 1,
    device: str = "cpu",
) -> None:
    """Restore the clips to `output/{clip}.mkv` and write `output/run.json`.

    The first clip is restored several times, after a warm-up, for the time of the restorer alone, from frames
    in memory to frames in memory; decoding and encoding of files are not in it.

    Args:
        name: name of the method.
        method: the method, of `load_method`.
        clips: one row per clip: `clip_id`, and the paths `lq` and `hq`, which are the same for a really
            degraded one; lq frames are resized to the size of hq.
        config: windows of longer clips, for a method that does not take whole ones, and the colour correction
            of a diffusion model's result; the other methods are measured as they are.
        output: folder of the results, written atomically.
        num_timed_runs: number of times that the first clip is timed.
        device: device named in `run.json`; on a GPU, peak memory is the GPU's.
    """
    num_frames: dict[str, int] = {}
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for row in tqdm(clips.to_dict("records"), desc=name, unit="clip"):
            clip = row["clip_id"]
            info = probe(row["hq"])
            frames = read_clip(row["hq" if method.takes_hq else "lq"], size=(info.width, info.height))
            if not num_frames:
                method.restore(frames if method.whole_clips else frames[: config.window])
                seconds = [_seconds(frames, method, config) for _ in range(num_timed_runs)]
                timed, size = clip, (info.width, info.height)
            num_frames[clip] = len(frames)
            write_clip(temporary / f"{clip}.mkv", _restore(frames, method, config), info.fps)
        run = Run(
            method=name,
            num_frames=num_frames,
            num_steps=method.num_steps,
            timed_clip=timed,
            seconds_per_run=seconds,
            width=size[0],
            height=size[1],
            peak_memory_mb=peak_memory_mb(device),
            device=device_name(device),
            threads=torch.get_num_threads(),
            dtype=method.dtype,
        )
        run.write(temporary)


def _seconds(frames: np.ndarray, method: Method, config: RestorationConfig) -> float:
    started = time.perf_counter()
    _restore(frames, method, config)
    return time.perf_counter() - started


def _restore(frames: np.ndarray, method: Method, config: RestorationConfig) -> np.ndarray:
    if method.whole_clips:
        return method.restore(frames)
    stream = restore_stream(frames, method.restore, window=config.window, overlap=config.overlap)
    restored = np.stack(list(stream))
    # Only for a diffusion model does the configuration hold `colour`.
    return correct_colours(restored, frames, kind=config.colour) if method.num_steps else restored
