"""Degradation synthesis: the paper's model (section 4.1), and KEEP's for comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from vividface.config import DegradationConfig, KeepDegradation
from vividface.data.clips import draw_path
from vividface.files import atomic_path, seeded_hash
from vividface.video import VideoWriter, ffmpeg_version, iterate_frames, probe

_INTERPOLATIONS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


@dataclass(frozen=True, kw_only=True)
class DegradationParameters:
    """The parameters drawn for one clip.

    Attributes:
        model: degradation model, `vividface` or `keep`.
        seed: seed of the clip's own generator, which also draws the noise.
        sigma: standard deviation of the blur, px; for `keep` along the kernel's first axis.
        sigma_y: standard deviation along the second axis; `sigma` if the blur is isotropic.
        angle: rotation of the kernel, radians; 0 if the blur is isotropic.
        scale: down-sampling factor r.
        interpolation: kernel of the down-sampling: `area`, `linear` or `cubic`.
        noise: standard deviation of the noise, of 255; null for `keep`, which redraws it in every frame.
        crf: rate factor of the encoder.
    """

    model: str
    seed: int
    sigma: float
    sigma_y: float
    angle: float
    scale: float
    interpolation: str
    noise: float | None
    crf: int


def draw_parameters(
    config: DegradationConfig, *, seed: int, clip_id: str, draw: int = 0
) -> DegradationParameters:
    """Draw a clip's parameters; they depend on the seed, the clip's id and the draw alone.

    Args:
        config: degradation model and its ranges.
        seed: seed of the experiment.
        clip_id: id of the clip.
        draw: number of the degradation, from 0.
    """
    clip_seed = int.from_bytes(seeded_hash(seed, f"{clip_id}#{draw}" if draw else clip_id)[:6], "big")
    generator = np.random.default_rng(clip_seed)
    if config.model == "keep":
        assert config.keep is not None
        return _draw_keep(config.keep, clip_seed, generator)
    ranges = config.vividface
    assert ranges is not None
    sigma = float(generator.uniform(*ranges.sigma))
    return isotropic_parameters(
        seed=clip_seed,
        sigma=sigma,
        scale=float(generator.uniform(*ranges.scale)),
        noise=float(generator.uniform(*ranges.noise)),
        crf=int(generator.integers(*ranges.crf, endpoint=True)),
    )


def isotropic_parameters(
    *, seed: int, sigma: float, scale: float, noise: float, crf: int, interpolation: str = "area"
) -> DegradationParameters:
    """Parameters of the model `vividface`, whose blur has no direction.

    Args:
        seed: seed of the noise.
        sigma: standard deviation of the blur, px.
        scale: down-sampling factor r.
        noise: standard deviation of the noise, of 255.
        crf: rate factor of the encoder.
        interpolation: kernel of the down-sampling: `area`, `linear` or `cubic`.
    """
    return DegradationParameters(
        model="vividface",
        seed=seed,
        sigma=sigma,
        sigma_y=sigma,
        angle=0.0,
        scale=scale,
        interpolation=interpolation,
        noise=noise,
        crf=crf,
    )


def _draw_keep(ranges: KeepDegradation, seed: int, generator: np.random.Generator) -> DegradationParameters:
    isotropic = generator.random() < ranges.isotropic
    sigma, other = (float(value) for value in generator.uniform(*ranges.sigma, size=2))
    angle = float(generator.uniform(-np.pi, np.pi))
    names = list(ranges.interpolations)
    weights = np.array([ranges.interpolations[name] for name in names])
    return DegradationParameters(
        model="keep",
        seed=seed,
        sigma=sigma,
        sigma_y=sigma if isotropic else other,
        angle=0.0 if isotropic else angle,
        scale=float(generator.uniform(*ranges.scale)),
        interpolation=str(generator.choice(names, p=weights / weights.sum())),
        noise=None,
        crf=int(generator.integers(*ranges.crf, endpoint=True)),
    )


def degrade_clip(
    source: Path, destination: Path, *, parameters: DegradationParameters, config: DegradationConfig
) -> None:
    """Degrade one clip, as `degrade_draws` does.

    Args:
        source: path of the clip.
        destination: path of the degraded clip.
        parameters: the clip's parameters, of `draw_parameters`.
        config: codec, encoder preset, and the model's settings that are not drawn per clip.

    Raises:
        InputError: the clip cannot be read.
    """
    degrade_draws(source, {destination: parameters}, config=config)


def degrade_draws(
    source: Path, draws: Mapping[Path, DegradationParameters], *, config: DegradationConfig
) -> None:
    """Degrade one clip in one or several ways, frame by frame; results have the size that the encoder saw.

    They are resized back where they are read (`vividface.video.read_clip`): so a result is encoded once,
    takes a hundredth of the space, and is what a user would have. Sides are rounded to even numbers, which
    yuv420p needs. One encoder thread and noise from the draw's own seed make the same bytes from the same
    arguments, whatever the other draws; memory does not grow with the clip's length.

    Args:
        source: path of the clip, which is decoded once.
        draws: parameters of each degradation, of `draw_parameters`, by the path of its result.
        config: codec, encoder preset, and the model's settings that are not drawn per clip.

    Raises:
        InputError: the clip cannot be read.
    """
    info = probe(source)
    with ExitStack() as encoders:
        outputs = []
        for destination, parameters in draws.items():
            width, height = (max(2, 2 * round(s / parameters.scale / 2)) for s in (info.width, info.height))
            options: dict[str, str | int] = {
                "vcodec": config.codec,
                "preset": config.encoder_preset,
                "crf": parameters.crf,
                "pix_fmt": "yuv420p",
                "threads": 1,
            }
            writer = VideoWriter(destination, width=width, height=height, fps=info.fps, options=options)
            corrupt = corruption(parameters, config, width=width, height=height)
            outputs.append((corrupt, encoders.enter_context(writer)))
        for frame in iterate_frames(source):
            for corrupt, encoder in outputs:
                encoder.write(corrupt(frame))


def degrade_shard(
    clips: pd.DataFrame,
    config: DegradationConfig,
    *,
    seed: int,
    hq_dir: Path,
    lq_dir: Path,
    num_draws: int = 1,
    threads: int = 1,
) -> pd.DataFrame:
    """Degrade a shard's clips, several at a time.

    Args:
        clips: one row per clip, with `clip_id`.
        config: degradation model and encoder.
        seed: seed of the experiment.
        hq_dir: folder of the clips.
        lq_dir: folder of the degraded clips, written atomically; `draw_path` names them.
        num_draws: number of degradations of each clip.
        threads: number of clips at a time; each draw has one encoder thread, for reproducible bytes.

    Returns:
        the columns of `degradation/{shard}.parquet` in docs/data-formats.md.
    """
    drawn = {
        (clip, draw): draw_parameters(config, seed=seed, clip_id=clip, draw=draw)
        for clip in clips["clip_id"]
        for draw in range(num_draws)
    }
    with atomic_path(lq_dir) as folder, ThreadPoolExecutor(threads) as pool:
        folder.mkdir()

        def degrade(clip: str) -> None:
            first = folder / f"{clip}.mkv"
            draws = {draw_path(first, draw): drawn[clip, draw] for draw in range(num_draws)}
            degrade_draws(Path(hq_dir) / first.name, draws, config=config)

        for _ in pool.map(degrade, clips["clip_id"]):
            pass
    rows = [{"clip_id": clip, "draw": draw, **vars(values)} for (clip, draw), values in drawn.items()]
    columns = ["clip_id", "draw", *(field.name for field in fields(DegradationParameters))]
    table = pd.DataFrame(rows, columns=columns).astype({"draw": "int64", "noise": "float64"})
    return table.assign(codec=config.codec, encoder_preset=config.encoder_preset, ffmpeg=ffmpeg_version())


def gaussian_kernel(size: int, *, sigma_x: float, sigma_y: float, angle: float) -> np.ndarray:
    """A Gaussian blur kernel (size, size) float32 that sums to one.

    Args:
        size: side of the kernel, px, odd.
        sigma_x: standard deviation along the first axis, px.
        sigma_y: standard deviation along the second axis, px.
        angle: rotation of the first axis from the image's x towards its y, radians.
    """
    ys, xs = np.mgrid[:size, :size] - (size - 1) / 2
    along = (np.cos(angle) * xs + np.sin(angle) * ys) / sigma_x
    across = (np.cos(angle) * ys - np.sin(angle) * xs) / sigma_y
    kernel = np.exp(-0.5 * (along**2 + across**2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def corruption(
    parameters: DegradationParameters, config: DegradationConfig, *, width: int, height: int
) -> Callable[[np.ndarray], np.ndarray]:
    """The degradation up to the encoder, as a function of successive frames.

    Args:
        parameters: the clip's parameters, of `draw_parameters`.
        config: the model's settings that are not drawn per clip.
        width: width of the degraded frames, px.
        height: height of the degraded frames, px.

    Returns:
        a function from (H, W, 3) uint8 to (height, width, 3) uint8; its noise is new in every call.
    """
    generator = np.random.default_rng(parameters.seed + 1)
    if parameters.model == "keep":
        assert config.keep is not None
        return _keep(parameters, config.keep, size=(width, height), generator=generator)
    assert parameters.noise is not None
    deviation = np.float32(parameters.noise)

    def vividface(frame: np.ndarray) -> np.ndarray:
        # The kernel ends at 4 sigma, OpenCV's choice for floating-point images; edges are mirrored.
        blurred = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), parameters.sigma)
        small = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_AREA)
        noise = generator.standard_normal(small.shape, dtype=np.float32) * deviation
        return _to_bytes(small, noise)

    return vividface


def _keep(
    parameters: DegradationParameters,
    config: KeepDegradation,
    *,
    size: tuple[int, int],
    generator: np.random.Generator,
) -> Callable[[np.ndarray], np.ndarray]:
    blur = gaussian_kernel(
        config.kernel_size, sigma_x=parameters.sigma, sigma_y=parameters.sigma_y, angle=parameters.angle
    )
    interpolation = _INTERPOLATIONS[parameters.interpolation]

    def noise(shape: tuple[int, ...]) -> np.ndarray:
        deviation = np.float32(generator.uniform(*config.noise))
        channels = 1 if generator.random() < config.grey else 3
        values = generator.standard_normal((*shape[:2], channels), dtype=np.float32) * deviation
        return np.broadcast_to(values, shape)

    def keep(frame: np.ndarray) -> np.ndarray:
        blurred = cv2.filter2D(frame.astype(np.float32), -1, blur)
        noisy = np.clip(blurred + noise(frame.shape), 0, 255)
        small = cv2.resize(noisy, size, interpolation=interpolation)
        return _to_bytes(small, noise(small.shape))

    return keep


def _to_bytes(image: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The sum of two float images, rounded and clipped to uint8."""
    return np.asarray(cv2.add(image, np.ascontiguousarray(noise), dtype=cv2.CV_8U))
