"""The one-step restoration of a video as a diffusers pipeline (section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vividface.models.base import TEMPORAL, Autoencoder
from vividface.models.checkpoints import load_checkpoint
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.precision import NotFiniteError, in_float32
from vividface.restoration.streaming import restore_windows
from vividface.tensors import frames_to_tensor, tensor_to_frames

# The transformer's patches are 2 latent positions of 8 px wide.
_MULTIPLE = 16
# dB over which a change fades in.
_FADE = 1.5

Video = np.ndarray | Tensor | Sequence[Image.Image]
OutputType = Literal["np", "pt", "pil", "latent"]


@dataclass
class OneStepFacePipelineOutput(BaseOutput):
    """The output of the pipeline.

    Attributes:
        frames: frames (F, H, W, 3) float32 in [0, 1] for `np`, (F, 3, H, W) for `pt`, a list of images for
            `pil`, normalised latents (1, C, T', H', W') for `latent`.
    """

    frames: np.ndarray | Tensor | list[Image.Image]


class OneStepFacePipeline(DiffusionPipeline):
    """Degraded frames in, restored frames out: encode, one step of the transformer, decode.

    Nothing is drawn at random: the same input gives the same output. `from_pretrained` loads it as any
    pipeline of diffusers, `from_checkpoint` with one-line errors, for rules and commands; for files there is
    `vividface.enhance_video`.

    Args:
        transformer: v_theta; None leaves the latents as they are, which gives the autoencoder's round trip.
        autoencoder: autoencoder of the checkpoint.

    Attributes:
        num_repeated: number of clips that `restore` computed again, in float32.
    """

    model_cpu_offload_seq = "transformer->autoencoder"
    _optional_components: ClassVar = ["transformer"]

    def __init__(self, transformer: OneStepTransformer | None, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.register_modules(transformer=transformer, autoencoder=autoencoder)
        self.num_repeated = 0

    @classmethod
    def from_checkpoint(
        cls, folder: Path | str, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> OneStepFacePipeline:
        """Load a checkpoint as `from_pretrained` does, but frozen and with one-line errors.

        Args:
            folder: folder that a training stage or `vividface import-checkpoint` wrote.
            device: `cpu` or `cuda`.
            dtype: type of the weights.

        Raises:
            InputError: the folder is no complete checkpoint.
        """
        pipeline: OneStepFacePipeline = cls(*load_checkpoint(folder, dtype=dtype)).to(device)
        return pipeline

    def __call__(
        self,
        video: Video,
        *,
        window: int = 81,
        overlap: int | None = None,
        strength: float = 1,
        output_type: OutputType = "np",
        return_dict: bool = True,
    ) -> OneStepFacePipelineOutput | tuple[Any]:
        """Restore a video of any length, in windows that are faded into each other.

        Args:
            video: frames (F, H, W, 3), uint8, uint16, or floats in [0, 1]; a tensor (F, 3, H, W) of floats in
                [0, 1]; or images. RGB, of any F, H and W.
            window: number of frames restored at once, 1 + a multiple of 4, which bounds the memory.
            overlap: number of frames that two windows share, at most half a window; None takes 8, or what a
                window allows.
            strength: share of the model's change that is applied, in [0, 1]; see `restore`.
            output_type: type of `OneStepFacePipelineOutput.frames`.
            return_dict: whether the output is an object; otherwise a tuple with the frames.

        Raises:
            ValueError: the shape or type does not fit, the strength is not in [0, 1], or latents of more than
                one window are asked for.

        Example:
            >>> import numpy as np
            >>> from vividface import OneStepFacePipeline
            >>> pipeline = OneStepFacePipeline.from_pretrained("checkpoints/main/pixel_stage")
            >>> frames = np.zeros((9, 64, 64, 3), np.uint8)
            >>> pipeline(frames, output_type="np").frames.shape
            (9, 64, 64, 3)
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"a strength of {strength} is not in [0, 1]")
        frames = _as_frames(video)
        result: np.ndarray | Tensor | list[Image.Image]
        if output_type == "latent":
            if len(frames) > window:
                raise ValueError(
                    f"latents are those of one window, but {len(frames)} frames are over {window}"
                )
            result = self._restored_latents(frames_to_tensor(frames), strength)
        else:
            restore = partial(self._restore_list, strength=strength)
            shared = min(8, window // 2) if overlap is None else overlap
            with self.progress_bar(total=len(frames)) as bar:
                restored: list[np.ndarray] = []
                for part in restore_windows(frames, restore, window=window, overlap=shared):
                    restored += part.frames
                    bar.update(len(part.frames))
            result = _as_output(np.stack(restored), output_type)
        return OneStepFacePipelineOutput(frames=result) if return_dict else (result,)

    def restore(self, frames: np.ndarray, *, strength: float = 1) -> np.ndarray:
        """Restore a clip, all frames at once.

        Args:
            frames: (F, H, W, 3) uint8 or uint16, RGB, any F, H and W: padded by repeating the last frame to
                1 + a multiple of 4 and by reflection to multiples of 16, and cut back.
            strength: share s of the model's change, in [0, 1]: z_l + s v is decoded, of one call of the
                transformer. At 0 the frames come back bit for bit, without the autoencoder's round trip.

        Returns:
            frames of the same shape and type. What is not finite in half precision is computed again in
            float32.

        Raises:
            NotFiniteError: it is not finite in float32 either.
        """
        if strength == 0:
            return frames.copy()
        original = frames_to_tensor(frames)
        restored = self._decoded(original, strength)
        if _not_finite(restored).any():
            with in_float32(self.transformer, self.autoencoder):
                restored = self._decoded(original, strength)
            self.num_repeated += 1
            if (broken := _not_finite(restored)).any():
                raise NotFiniteError(broken.nonzero().flatten().tolist())
        with torch.inference_mode():
            restored = restored.clamp(-1, 1)
            keep_detail = None if self.transformer is None else self.transformer.config.keep_detail
            if keep_detail is not None:
                restored = _faded(restored, original.to(restored), keep_detail, strength=strength)
        return tensor_to_frames(restored, frames.dtype)

    @torch.inference_mode()
    def _decoded(self, original: Tensor, strength: float) -> Tensor:
        """Restored frames (3, F, H, W) float32, which may leave [-1, 1]."""
        length, height, width = original.shape[1:]
        latents = self._restored_latents(original, strength)
        restored: Tensor = self.autoencoder.decode_video(latents.to(self.autoencoder.dtype))
        return restored[0, :, :length, :height, :width].float()

    @torch.inference_mode()
    def _restored_latents(self, video: Tensor, strength: float) -> Tensor:
        video = _pad(video)[None].to(self._execution_device, self.autoencoder.dtype)
        latents: Tensor = self.autoencoder.encode_video(video)
        if self.transformer is not None:
            latents = self.transformer.restore(latents, strength=strength)
        return latents

    def _restore_list(self, frames: Sequence[np.ndarray], *, strength: float) -> list[np.ndarray]:
        return list(self.restore(np.stack(frames), strength=strength))


def _not_finite(restored: Tensor) -> Tensor:
    """Which frames of (3, F, H, W) are not finite, (F,) bool."""
    return ~restored.isfinite().all(dim=(0, 2, 3))


def _faded(restored: Tensor, original: Tensor, keep_detail: float, *, strength: float) -> Tensor:
    """Restored frames (3, F, H, W) in [-1, 1], the less of them the less of the fine detail was changed.

    None of the change where the change of the detail has `keep_detail` dB of the input's and less, all from
    `_FADE` dB above on: a sharp clip is left as it is, instead of losing its finest detail to a model that
    has nothing to add. A blurred one has little detail, so that a change that is no larger counts there.
    What counts is the change at full strength, of which there is the share `strength`.
    """
    # One frame of each latent one tells as much as all.
    some, before = restored[:, ::TEMPORAL], original[:, ::TEMPORAL]
    change = _detail((some - before) / strength).square().mean()
    ratio = 10 * torch.log10(change / _detail(before).square().mean().clamp_min(1e-12))
    return torch.lerp(original, restored, ((ratio - keep_detail) / _FADE).clamp(0, 1))


def _detail(video: Tensor) -> Tensor:
    """What a Gaussian of 1 px blurs away of frames (3, F, H, W)."""
    if min(video.shape[-2:]) <= 3:
        return torch.zeros_like(video)
    weights = [math.exp(-0.5 * offset**2) for offset in range(-3, 4)]
    blurred = F.pad(video, (3, 3, 3, 3), mode="reflect")
    for axis, length in zip((-2, -1), video.shape[-2:], strict=True):
        # Convolutions with one channel take several times as long on a CPU.
        shares = [weight / sum(weights) for weight in weights]
        parts = [blurred.narrow(axis, start, length) for start in range(len(weights))]
        blurred = shares[0] * parts[0]
        for share, part in zip(shares[1:], parts[1:], strict=True):
            blurred.add_(part, alpha=share)
    return video - blurred


def _pad(video: Tensor) -> Tensor:
    """Pad (3, F, H, W); sides smaller than the padding are replicated, since reflection cannot reach."""
    _, length, height, width = video.shape
    down, right = -height % _MULTIPLE, -width % _MULTIPLE
    mode = "reflect" if down < height and right < width else "replicate"
    video = F.pad(video.transpose(0, 1), (0, right, 0, down), mode=mode).transpose(0, 1)
    missing = -(length - 1) % TEMPORAL
    return torch.cat([video, video[:, -1:].expand(-1, missing, -1, -1)], dim=1)


def _as_frames(video: Video) -> np.ndarray:
    """(F, H, W, 3) uint8, or uint16 for floats."""
    if isinstance(video, Tensor):
        if video.ndim != 4 or video.shape[1] != 3:
            raise ValueError(f"a tensor of shape {tuple(video.shape)} is not (F, 3, H, W)")
        frames = video.detach().float().cpu().permute(0, 2, 3, 1).numpy()
    elif isinstance(video, np.ndarray):
        frames = video
    else:
        frames = np.stack([np.asarray(image.convert("RGB")) for image in video])
    if frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise ValueError(f"frames of shape {frames.shape} are not (F, H, W, 3)")
    if np.issubdtype(frames.dtype, np.floating):
        return np.asarray(np.rint(frames.clip(0, 1) * 65535).astype(np.uint16))
    if frames.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"frames are {frames.dtype}, not uint8, uint16 or floats")
    return frames


def _as_output(frames: np.ndarray, kind: OutputType) -> np.ndarray | Tensor | list[Image.Image]:
    peak = np.iinfo(frames.dtype).max
    if kind == "pil":
        return [Image.fromarray(np.rint(frame * (255 / peak)).astype(np.uint8)) for frame in frames]
    scaled: np.ndarray = frames.astype(np.float32) / peak
    if kind == "np":
        return scaled
    if kind == "pt":
        return torch.from_numpy(scaled).permute(0, 3, 1, 2)
    raise ValueError(f"output_type {kind!r} is none of np, pt, pil, latent")
