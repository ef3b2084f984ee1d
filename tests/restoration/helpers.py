"""Videos for tests, and their enhancement with a function in place of a model."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vividface.config import EnhanceConfig
from vividface.models.autoencoders import DCTAutoencoder
from vividface.models.checkpoints import save_checkpoint
from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.enhance import enhance
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source
from vividface.video import ffmpeg_executable

WINDOWS = EnhanceConfig(window=9, overlap=2, cut_threshold=None)
SIZE = (66, 50)
# Uneven on purpose; in units of 1/600 s.
TIMES = [0, 20, 40, 45, 60, 100, 110, 120, 145, 160, 200, 210, 225, 230, 260, 280, 285, 300, 320, 340]


def picture(index, size=SIZE):
    """A soft gradient with a bar that moves: what H.264 at 4:2:0 keeps within a few levels."""
    width, height = size
    ramp = np.linspace(40, 160, width, dtype=np.float32)[None, :, None].repeat(height, 0)
    frame = np.concatenate([ramp, ramp[:, ::-1], np.full_like(ramp, 90)], axis=2)
    left = 2 * index % (width - 16)
    frame[10:30, left : left + 16] = (190, 130, 70)
    return frame


def encode(
    path, *, count=20, size=SIZE, times=TIMES, tone=True, rotation=0, pixel_format="yuv420p", **colour
):
    """A video by PyAV, with the time stamps, sound, rotation and colours asked for."""
    deep = "10" in pixel_format
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.time_base = stream.codec_context.time_base = Fraction(1, 600)
        context = stream.codec_context
        context.colorspace, context.color_range = colour.get("matrix", 1), colour.get("range", 1)
        context.color_primaries, context.color_trc = colour.get("primaries", 1), colour.get("transfer", 1)
        if rotation:
            stream.set_display_rotation(rotation)
        if tone:
            sound = container.add_stream("aac", rate=16000)
        for index in range(count):
            pixels = picture(index, size)
            pixels = (pixels * 257).astype(np.uint16) if deep else pixels.astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le" if deep else "rgb24")
            frame = frame.reformat(
                format=pixel_format, dst_colorspace=context.colorspace, dst_color_range=context.color_range
            )
            frame.pts, frame.time_base = (
                times[index % len(times)] + 360 * (index // len(times)),
                Fraction(1, 600),
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone:
            samples = (np.sin(np.arange(9600) / 16000 * 2764) * 8000).astype("<i2")[None]
            block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            block.sample_rate, block.pts = 16000, 0
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


def decode(path, name="rgb24"):
    """Seconds, pixels and the frame itself, of every frame."""
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format=name), frame) for frame in container.decode(video=0)]


def brighten(frames):
    peak = np.iinfo(frames.dtype).max
    return np.clip(frames.astype(np.int64) + peak // 12, 0, peak).astype(frames.dtype)


def write_checkpoint(folder):
    """An untrained nano model: it returns its input."""
    transformer = OneStepTransformer(**(NANO | {"num_layers": 1, "ffn_dim": 64}))
    transformer.zero_output()
    save_checkpoint(folder, transformer, DCTAutoencoder())
    return folder


def restorer_of(restore=brighten, name="brighten"):
    """A restorer of whole frames."""
    return FaceRestorer(restore=restore, size=64, clip_frames=9, backend=None, fingerprint={"weights": name})


def run(source, output, restore=brighten, *, config=WINDOWS, **options):
    """Enhance with a function in place of a model."""
    return enhance(
        open_source(Path(source)),
        Path(output),
        restorer=restorer_of(restore),
        config=config,
        progress=False,
        **options,
    )


def ffmpeg(*words):
    """Make an input with the ffmpeg program."""
    command = [ffmpeg_executable(), "-v", "error", "-y", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def keep(frames):
    return frames


def streams(path):
    """Type, codec, language, title and disposition of every stream."""
    with av.open(str(path)) as container:
        return [
            (
                stream.type,
                stream.codec_context.name if stream.codec_context else None,
                stream.metadata.get("language"),
                stream.metadata.get("title") or stream.metadata.get("name"),
                int(stream.disposition),
            )
            for stream in container.streams
        ]


def times(path):
    """Times of the film's frames, s."""
    return [time for time, _, _ in decode(path)]
