"""The showcase: a whole video, its face cropped, and the crop degraded."""

import ffmpeg
import pandas as pd
import pytest

from vividface.config import load_config
from vividface.data.showcase import write_showcase, write_watchable
from vividface.video import ffmpeg_executable, probe, write_clip


def add_sound(source, output):
    tone = ffmpeg.input("sine=frequency=440:duration=1", f="lavfi")
    video = ffmpeg.input(str(source)).video
    out = ffmpeg.output(video, tone, str(output), vcodec="copy", acodec="aac")
    out.global_args("-v", "error").run(cmd=ffmpeg_executable())


def test_a_small_video_is_made_watchable_at_its_size_and_keeps_its_sound(moving_frames, tmp_path):
    write_clip(tmp_path / "silent.mkv", moving_frames, 25)
    add_sound(tmp_path / "silent.mkv", tmp_path / "source.mkv")
    write_clip(tmp_path / "small.mkv", moving_frames[:, ::2, ::2], 25)
    write_watchable(tmp_path / "small.mkv", tmp_path / "source.mkv", tmp_path / "lq.mp4")
    info = probe(tmp_path / "lq.mp4")
    assert (info.codec, info.has_audio, info.num_frames) == ("h264", True, 9)
    assert (info.width, info.height) == (64, 64)


@pytest.fixture
def talk(face_video, tmp_path):
    """The first frames of a real clip, with sound."""
    from vividface.video import read_clip

    write_clip(tmp_path / "silent.mkv", read_clip(face_video, 0, 9), 25)
    add_sound(tmp_path / "silent.mkv", tmp_path / "talk.mkv")
    return tmp_path / "talk.mkv"


def test_the_first_video_is_cropped_and_degraded_with_its_sound(talk, repository, tmp_path):
    config = load_config(repository / "config.yaml", repository / "configs" / "demo.yaml")
    picked = ("seed", "faces", "clips.size", "clips.margin", "degradation.model", "degradation.codec")
    keys = config.pick(*picked, "degradation.encoder_preset", "degradation.vividface")
    videos = pd.DataFrame({"video_id": ["talk", "other"], "path": [str(talk), "other.mkv"]})
    hq, lq = tmp_path / "hq.mp4", tmp_path / "lq.mp4"
    write_showcase(videos, config.restricted(keys), hq=hq, lq=lq)
    for path in (hq, lq):
        info = probe(path)
        assert (info.width, info.height, info.num_frames) == (128, 128, 9), path
        assert info.has_audio, path
    assert lq.read_bytes() != hq.read_bytes()
