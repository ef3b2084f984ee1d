"""VFHQ's metadata, and clips cut out of videos of a local server in the place of YouTube."""

from pathlib import Path

import numpy as np
import pytest

from vividface.config.datasets import YoutubeSource
from vividface.data import vfhq
from vividface.data.shots import find_shots
from vividface.data.sources import fetch_dataset
from vividface.data.vfhq import cut_clip, fetch_clips, read_meta, sample_clips
from vividface.errors import InputError
from vividface.video import VideoWriter, probe, read_clip

VIDEO = "_-91nXXjrVo"
TEXT = "H 72\nW 128\nFPS 25.0\nCROP 40 10 104 66\n1 {landmarks}\n"


def write_meta(folder, name=f"Clip+{VIDEO}+P0+C0+F9-31", text=TEXT):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.txt"
    path.write_text(text)
    return path


def film(path, frames=60, width=128, height=72, fps=25):
    """Frames whose brightness is their number and whose columns are told apart by colour."""
    with VideoWriter(path, width=width, height=height, fps=fps, codec="h264", crf=1) as writer:
        for index in range(frames):
            frame = np.full((height, width, 3), min(4 * index, 255), np.uint8)
            frame[:, width // 2 :, 0] = 255
            writer.write(frame)
    return path


def test_metadata_is_read_as_vfhqs_own_extraction_reads_it(tmp_path):
    meta = read_meta(write_meta(tmp_path))
    frames = {"first": 10, "last": 30, "fps": 25.0}
    picture = {"height": 72, "width": 128, "box": (40, 10, 104, 66)}
    assert vars(meta) == {"name": meta.name, "video": VIDEO, "person": 0, **frames, **picture}
    colons = TEXT.replace("FPS 25.0", "FPS: 25.0").replace("CROP 40", "CROP: 40")
    assert read_meta(write_meta(tmp_path, text=colons)) == meta


@pytest.mark.parametrize(
    "text", ["", "H 72\nW 128\nFPS 25\n", TEXT.replace("25.0", "fast"), TEXT.replace("40 10", "40 90")]
)
def test_damaged_metadata_is_named(text, tmp_path):
    with pytest.raises(InputError, match=r"F9-31\.txt: (is no clip metadata|its frames, rate or crop)"):
        read_meta(write_meta(tmp_path, text=text))
    with pytest.raises(InputError, match="is not named Clip"):
        read_meta(write_meta(tmp_path, name="Clip+short+P0+C0+F1-9"))


def test_samples_are_seeded_and_nested(tmp_path):
    for clip in range(40):
        write_meta(tmp_path, f"Clip+{VIDEO}+P0+C{clip}+F9-31")

    def sample(size, seed=0, skip=0):
        source = YoutubeSource(kind="youtube", metadata=tmp_path, sample=size, skip=skip)
        return {clip.name for clip in sample_clips(source, "vfhq", seed=seed)}

    assert len(sample(None)) == 40
    assert len(sample(10)) == 10
    assert sample(10) < sample(20)
    assert sample(10) != sample(10, seed=1)
    assert sample(None, skip=10) == sample(None) - sample(10)
    assert sample(10, skip=10) == sample(20) - sample(10)
    empty = YoutubeSource(kind="youtube", metadata=tmp_path / "none")
    with pytest.raises(InputError, match=r"datasets\.vfhq\.source\.metadata: .*holds no Clip"):
        sample_clips(empty, "vfhq", seed=0)


def test_a_clip_is_cut_in_time_and_space(tmp_path):
    source, meta = film(tmp_path / "film.mp4"), read_meta(write_meta(tmp_path))
    cut_clip(source, meta, tmp_path / "clip.mp4")
    frames = read_clip(tmp_path / "clip.mp4").astype(int)
    assert frames.shape == (21, 56, 64, 3)
    np.testing.assert_allclose(frames[:, :, :20, 1].mean(axis=(1, 2)), 4 * np.arange(10, 31), atol=2)
    assert frames[0, 28, 20, 0] < 60, "column 60 of the film"
    assert frames[0, 28, 28, 0] > 200, "column 68 of the film"


def test_another_size_and_rate_keep_place_and_time(tmp_path):
    source = film(tmp_path / "film.mp4", frames=120, width=256, height=144, fps=50)
    cut_clip(source, read_meta(write_meta(tmp_path)), tmp_path / "clip.mp4")
    info = probe(tmp_path / "clip.mp4")
    assert (info.width, info.height, info.num_frames, info.fps) == (128, 112, 42, 50)
    assert read_clip(tmp_path / "clip.mp4", 0, 1)[..., 1].mean() == pytest.approx(80, abs=8)


def test_a_video_that_ends_early_leaves_nothing(tmp_path):
    source = film(tmp_path / "film.mp4", frames=20)
    with pytest.raises(InputError, match="ends after 20 frames"):
        cut_clip(source, read_meta(write_meta(tmp_path)), tmp_path / "out" / "clip.mp4")
    assert not list((tmp_path / "out").iterdir())


@pytest.fixture
def tube(file_server, tmp_path, monkeypatch):
    """A server of videos in the place of YouTube, and metadata of three clips of two videos."""
    file_server.files[f"/{VIDEO}.mp4"] = film(tmp_path / "film.mp4").read_bytes()
    monkeypatch.setattr(vfhq, "_ADDRESS", f"{file_server.url}/{{video}}.mp4")
    for name in (f"Clip+{VIDEO}+P0+C0+F9-31", f"Clip+{VIDEO}+P1+C0+F1-9", "Clip+goneforever+P0+C0+F9-31"):
        write_meta(tmp_path / "meta", name)
    return file_server


def test_youtube_clips_are_downloaded_and_cut_and_missing_ones_recorded(tube, tmp_path):
    source = YoutubeSource(kind="youtube", metadata=tmp_path / "meta", max_parallel=2, format="best")
    folders = {"directory": tmp_path / "data", "locks": tmp_path}
    table = fetch_dataset("vfhq", source, **folders).set_index("video_id")
    good = table[table["reason"] == ""]
    assert set(good.index) == {"91nXXjrVo_P0_C0_F9_31", "91nXXjrVo_P1_C0_F1_9"}
    assert set(good["person"]) == {f"{VIDEO}-P0", f"{VIDEO}-P1"}
    assert [probe(path).num_frames for path in good["path"]] == [21, 7]
    gone = table.loc["goneforever_P0_C0_F9_31"]
    assert "404" in gone["reason"]
    assert sorted(path.name for path in (tmp_path / "data/videos").iterdir()) == sorted(
        Path(path).name for path in good["path"]
    )
    assert len(tube.ranges(f"/{VIDEO}.mp4")) <= 3, "one download serves both clips"
    shots = find_shots(table.reset_index(), None).set_index("video_id")
    assert shots.loc["goneforever_P0_C0_F9_31", "reason"].startswith("unreadable: ")
    before = len(tube.ranges(f"/{VIDEO}.mp4"))
    again = fetch_dataset("vfhq", source, **folders).set_index("video_id")
    assert again["sha256"].equals(table["sha256"])
    assert len(tube.ranges(f"/{VIDEO}.mp4")) == before


def test_offline_youtube_is_not_touched(tube, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    clips = [read_meta(path) for path in sorted((tmp_path / "meta").iterdir())]
    with pytest.raises(InputError, match="2 YouTube videos: is not here, and VIVIDFACE_OFFLINE=1 forbids"):
        fetch_clips(clips, tmp_path / "videos", video_format="best", max_parallel=1)
    assert tube.requests == []
