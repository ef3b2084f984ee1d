"""Cropping clips and videos, with a backend that takes bright squares for faces, and on real clips."""

import logging
import weakref
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from vividface.config import ClipsConfig, FacesConfig
from vividface.data import extraction
from vividface.data.clips import Rejection
from vividface.data.extraction import extract_clips, extract_video
from vividface.data.planning import plan_clips
from vividface.data.shots import find_shots
from vividface.errors import InputError
from vividface.faces.base import Face
from vividface.video import VideoWriter, ffmpeg_executable, probe, read_clip, write_clip

FACES = FacesConfig(backend="dlib", detection_size=640)
CLIPS = ClipsConfig(
    num_frames=5,
    size=64,
    cut_threshold=27,
    margin=0.3,
    min_face=16,
    max_lost_share=0.4,
    max_padding_share=0.2,
    max_rejected_share=0.5,
)


class SquareBackend:
    """Takes each frame's bright square for a face, and any two for one person's."""

    num_landmarks, same_person = 68, 0.5

    def detect(self, frames):
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame):
        y, x = np.nonzero(frame[..., 0] > 200)
        if not len(x):
            return []
        box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32)
        corners = np.array([[box[0], box[1]], [box[2] - 1, box[3] - 1]], np.float32)
        return [Face(box, np.repeat(corners, 34, axis=0), 1.0)]

    def embed(self, frames, faces):
        return np.ones((len(frames), 1), np.float32)


@pytest.fixture
def square_faces(monkeypatch):
    monkeypatch.setattr(extraction, "load_backend", lambda *arguments, **options: SquareBackend())


def square_video(positions, side=24, height=120, width=160):
    """Frames with a white square at each position on a dark texture; None leaves the square out."""
    noise = np.random.default_rng(0).integers(0, 100, (height, width, 3), np.uint8)
    frames = np.repeat(noise[None], len(positions), axis=0)
    for frame, position in zip(frames, positions, strict=True):
        if position is not None:
            x, y = position
            frame[y : y + side, x : x + side] = 255
    return frames


def videos(**paths):
    rows = [{"video_id": name, "path": str(path), "person": name} for name, path in paths.items()]
    return pd.DataFrame(rows)


def plan_of(num_frames=5, **paths):
    """The clips of videos that are one shot each."""
    table = videos(**paths)
    return plan_clips(table, find_shots(table, None), num_frames=num_frames, num_shards=1)


def extract(plan, folder, **options):
    outputs = {"hq_dir": folder / "hq", "faces_file": folder / "faces.safetensors"}
    return extract_clips(plan, CLIPS, faces_config=FACES, **outputs, **options).set_index("clip_id")


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "walk.mkv"
    write_clip(path, square_video([(40 + i, 50) for i in range(13)]), Fraction(30000, 1001))
    return path


def test_crops_and_landmarks_agree(square_faces, tmp_path, video, caplog):
    with caplog.at_level(logging.INFO):
        table = extract(plan_of(walk=video), tmp_path)
    assert "2/2 walk-000005: kept" in caplog.text
    assert table["kept"].all()
    row = table.loc["walk-000000"]
    # 28 px wide over the five frames, 24 * 1.5 high with its forehead, by 1.3.
    assert row["crop_size"] == 47
    assert row["face_px"] == 24
    assert row["lost_share"] == row["padding_share"] == 0
    landmarks = load_file(tmp_path / "faces.safetensors")
    for clip in table.index:
        frames = read_clip(tmp_path / f"hq/{clip}.mkv")
        assert frames.shape == (5, 64, 64, 3)
        points = landmarks[f"{clip}.landmarks"]
        assert points.shape == (5, 68, 2)
        assert points.dtype == np.float32
        np.testing.assert_array_equal(landmarks[f"{clip}.found"], np.ones(5, np.uint8))
        for frame, face in zip(frames, points, strict=True):
            y, x = np.nonzero(frame[..., 0] > 190)
            seen = [x.min(), y.min(), x.max(), y.max()]
            np.testing.assert_allclose([*face.min(axis=0), *face.max(axis=0)], seen, atol=1.5)


def test_a_clip_is_the_same_alone_as_among_the_others(square_faces, tmp_path, video):
    plan = plan_of(walk=video)
    extract(plan, tmp_path / "all")
    extract(plan.iloc[1:], tmp_path / "one")
    name = "hq/walk-000005.mkv"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
    assert [path.name for path in (tmp_path / "one/hq").iterdir()] == ["walk-000005.mkv"]


def test_a_video_that_is_shown_turned_is_cropped_as_it_is_shown(square_faces, tag_turn, tmp_path):
    frames, png = square_video([(40 + i, 50) for i in range(5)]), {"vcodec": "png", "pix_fmt": "rgb24"}
    write_clip(tmp_path / "upright.mov", frames, 25, options=png)
    write_clip(tmp_path / "sideways.mov", np.rot90(frames, -1, (1, 2)), 25, options=png)
    phone = tag_turn(tmp_path / "sideways.mov", tmp_path / "phone.mov", 90)
    tables = [
        extract(plan_of(walk=path), tmp_path / path.stem).drop(columns="path")
        for path in (tmp_path / "upright.mov", phone)
    ]
    assert tables[0]["kept"].all()
    pd.testing.assert_frame_equal(*tables)
    crops = [(tmp_path / name / "hq/walk-000000.mkv").read_bytes() for name in ("upright", "phone")]
    assert crops[0] == crops[1]


def test_threads_change_nothing(square_faces, tmp_path, video):
    write_clip(tmp_path / "none.mkv", square_video([None] * 5), 25)
    plan = plan_of(walk=video, none=tmp_path / "none.mkv")
    tables = []
    for threads in (1, 3):
        tables.append(extract(plan, tmp_path / str(threads), threads=threads))
    pd.testing.assert_frame_equal(*tables)
    for path in sorted((tmp_path / "1").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "3" / path.relative_to(tmp_path / "1")).read_bytes(), path


def test_a_long_clip_is_decoded_again_and_comes_out_the_same(square_faces, monkeypatch, tmp_path, video):
    plan = plan_of(walk=video)
    decoded = []
    once = extraction.iterate_frames
    monkeypatch.setattr(extraction, "iterate_frames", lambda *place: decoded.append(place) or once(*place))
    extract(plan, tmp_path / "kept")
    assert not decoded
    monkeypatch.setattr(extraction, "_KEPT_BYTES", 0)
    extract(plan, tmp_path / "again")
    assert len(decoded) == len(plan)
    for path in (tmp_path / "kept").rglob("*.mkv"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "kept")).read_bytes()


def test_a_face_that_hardly_moves_is_not_looked_for_in_every_frame(square_faces, monkeypatch, tmp_path):
    write_clip(tmp_path / "still.mkv", square_video([(40, 50)] * 17), 25)
    looks = []
    detect = SquareBackend._detect
    monkeypatch.setattr(SquareBackend, "_detect", lambda self, frame: looks.append(1) or detect(self, frame))
    table = extract(plan_of(17, still=tmp_path / "still.mkv"), tmp_path)
    assert table["kept"].all()
    assert table["lost_share"].iloc[0] == 0
    assert len(looks) == 6


def test_a_face_lost_for_a_moment_is_interpolated(square_faces, tmp_path):
    write_clip(tmp_path / "blink.mkv", square_video([(40, 50), None, None, (46, 50), (48, 50)]), 25)
    table = extract(plan_of(blink=tmp_path / "blink.mkv"), tmp_path)
    assert table["kept"].all()
    assert table["lost_share"].iloc[0] == 0.4
    stored = load_file(tmp_path / "faces.safetensors")
    np.testing.assert_array_equal(stored["blink-000000.found"], [1, 0, 0, 1, 1])
    x = stored["blink-000000.landmarks"][:, 0, 0]
    np.testing.assert_allclose(np.diff(x), np.diff(x)[0], atol=1e-3)


def test_rejected_clips_are_recorded_with_their_reason(square_faces, tmp_path):
    steady = [(40, 50)] * 5
    write_clip(tmp_path / "none.mkv", square_video([None] * 5), 25)
    write_clip(tmp_path / "lost.mkv", square_video([(40, 50), None, None, None, None]), 25)
    write_clip(tmp_path / "small.mkv", square_video(steady, side=12), 25)
    write_clip(tmp_path / "wide.mkv", square_video([(28 * i, 20) for i in range(5)], height=60), 25)
    write_clip(tmp_path / "good.mkv", square_video(steady), 25)
    names = ["none", "lost", "small", "wide", "good"]
    table = extract(plan_of(**{name: tmp_path / f"{name}.mkv" for name in names}), tmp_path)
    reasons = {clip.partition("-")[0]: reason for clip, reason in table["reason"].items()}
    assert reasons["none"].startswith("no face:")
    assert reasons["lost"] == "face lost: in 80% of the frames, more than 40%"
    assert reasons["small"] == "small face: 12 px wide, less than 16"
    assert reasons["wide"].startswith("padding: 56%")
    assert reasons["good"] == ""
    rejections = {clip.partition("-")[0]: rejection for clip, rejection in table["rejection"].items()}
    assert rejections == {
        "none": Rejection.NO_FACE,
        "lost": Rejection.FACE_LOST,
        "small": Rejection.SMALL_FACE,
        "wide": Rejection.PADDING,
        "good": Rejection.NONE,
    }
    assert [path.name for path in (tmp_path / "hq").iterdir()] == ["good-000000.mkv"]
    kinds = {name.removeprefix("good-000000.") for name in load_file(tmp_path / "faces.safetensors")}
    assert kinds == {"boxes", "landmarks", "found"}


def test_a_crop_mostly_outside_the_frame_is_rejected(square_faces, tmp_path):
    write_clip(tmp_path / "run.mkv", square_video([(30 * i, 20) for i in range(5)], side=60, width=240), 25)
    write_clip(tmp_path / "low.mkv", square_video([(30 * i, 0) for i in range(5)], 60, 70, 240), 25)
    table = extract(plan_of(run=tmp_path / "run.mkv", low=tmp_path / "low.mkv"), tmp_path)
    assert table["reason"]["run-000000"].startswith("padding: 33%")
    assert table["padding_share"]["run-000000"] == pytest.approx(1 - 120 / 180)
    assert table["crop_size"]["low-000000"] == 180
    assert not table["kept"].any()


def test_a_truncated_file_keeps_its_whole_clips(square_faces, tmp_path):
    path = tmp_path / "cut.mp4"
    frames = square_video([(40, 50)] * 20)
    # New noise in every frame spreads the file's bytes over the frames.
    frames[:, :40] = np.random.default_rng(1).integers(0, 100, frames[:, :40].shape)
    with VideoWriter(path, width=160, height=120, fps=25, codec="h264") as writer:
        for frame in frames:
            writer.write(frame)
    plan = plan_of(cut=path)
    assert len(plan) == 4
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert plan_of(cut=path)["reason"].iloc[-1].startswith("truncated: the file ends after 1")
    table = extract(plan, tmp_path)
    assert table["kept"].iloc[0]
    assert not table["kept"].iloc[-1]
    assert table["rejection"].iloc[-1] == Rejection.TRUNCATED
    assert table["reason"].iloc[-1].startswith("truncated:")
    assert str(path) not in table["reason"].iloc[-1]
    assert len(list((tmp_path / "hq").iterdir())) == table["kept"].sum()


def test_clips_that_are_taken_whole_are_the_videos_frames(square_faces, tmp_path):
    """At an odd size and any length, and rejected for nothing that is seen in them."""
    steady = [(40, 50)] * 7
    contents = {
        "good": square_video(steady, height=121, width=163),
        "none": square_video([None] * 2),
        "lost": square_video([(40, 50), None, None, None, None]),
        "small": square_video(steady, side=12),
        "wide": square_video([(28 * i, 20) for i in range(5)], height=60),
    }
    for name, frames in contents.items():
        write_clip(tmp_path / f"{name}.mkv", frames, 25)
    plan = plan_of(num_frames=None, **{name: tmp_path / f"{name}.mkv" for name in contents})
    table = extract(plan, tmp_path, crop=False)
    assert table["kept"].all(), table["reason"]
    faces = load_file(tmp_path / "faces.safetensors")
    for name, frames in contents.items():
        clip = f"{name}-000000"
        np.testing.assert_array_equal(read_clip(tmp_path / f"hq/{clip}.mkv"), frames)
        row = table.loc[clip]
        assert row[["crop_x", "crop_y", "crop_size", "padding_share"]].isna().all()
        assert row["sharpness"] > 0
        assert (f"{clip}.boxes" in faces) == (name != "none")
    assert list(table.loc[["good-000000", "small-000000"], "face_px"]) == [24, 12]
    assert list(table.loc[["none-000000", "lost-000000"], "lost_share"]) == [1, 0.8]
    np.testing.assert_array_equal(faces["lost-000000.found"], [1, 0, 0, 0, 0])
    # In pixels of the whole frame: of the square at (40, 50), 24 px wide.
    np.testing.assert_allclose(faces["good-000000.boxes"], np.tile([40, 50, 64, 74], (7, 1)), atol=1)


def test_frames_of_a_long_clip_are_held_a_batch_at_a_time(square_faces, monkeypatch, tmp_path, frames_alive):
    """Of a clip of 201 frames no more than two batches are alive at once, in either pass."""
    monkeypatch.setattr(extraction, "_KEPT_BYTES", 10 * 160 * 120)
    most, batches, alive = frames_alive(extraction), [], weakref.WeakSet()
    iterate_lazily = extraction.iterate_lazily

    def counted(*place, size):
        for batch in iterate_lazily(*place, size=size):
            alive.add(batch)
            batches.append(len(alive))
            yield batch

    monkeypatch.setattr(extraction, "iterate_lazily", counted)
    write_clip(tmp_path / "long.mkv", square_video([(40, 50)] * 201), 25)
    plan = plan_of(num_frames=201, long=tmp_path / "long.mkv")
    assert extract(plan, tmp_path)["kept"].all()
    assert 0 < most[-1] <= 2 * FACES.batch_size
    assert len(batches) == 26
    assert max(batches) <= 2


def test_a_shard_without_kept_clips_writes_valid_empty_outputs(square_faces, tmp_path):
    write_clip(tmp_path / "none.mkv", square_video([None] * 5), 25)
    for name, plan in (
        ("rejected", plan_of(none=tmp_path / "none.mkv")),
        ("empty", plan_of(none=tmp_path / "none.mkv").iloc[:0]),
    ):
        folder = tmp_path / name
        table = extract(plan, folder)
        table.to_parquet(folder / "0000.parquet")
        again = pd.read_parquet(folder / "0000.parquet")
        assert len(again) == len(plan)
        assert not again["kept"].any()
        assert load_file(folder / "faces.safetensors") == {}
        assert list((folder / "hq").iterdir()) == []


def with_sound(source: Path, destination: Path) -> None:
    tone = ffmpeg.input("sine=frequency=440:duration=1", f="lavfi")
    out = ffmpeg.output(ffmpeg.input(str(source)).video, tone, str(destination), vcodec="copy", acodec="aac")
    out.global_args("-v", "error").run(cmd=ffmpeg_executable())


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "ffv1"), (".mp4", "h264")])
def test_a_whole_video_is_cropped_with_one_box_and_its_sound(square_faces, tmp_path, video, suffix, codec):
    with_sound(video, tmp_path / "sound.mkv")
    output = tmp_path / f"crop{suffix}"
    box = extract_video(tmp_path / "sound.mkv", output, clips_config=CLIPS, faces_config=FACES)
    info = probe(output)
    assert (info.width, info.height, info.num_frames) == (64, 64, 13)
    assert info.codec == codec
    assert info.has_audio
    assert box.size == 47
    assert float(info.fps) == pytest.approx(30000 / 1001, rel=1e-3)


def test_a_whole_video_without_a_face_is_refused(square_faces, tmp_path):
    write_clip(tmp_path / "none.mkv", square_video([None] * 5), 25)
    with pytest.raises(InputError, match=r"none\.mkv: no face is found"):
        extract_video(tmp_path / "none.mkv", tmp_path / "crop.mkv", clips_config=CLIPS, faces_config=FACES)
    assert not (tmp_path / "crop.mkv").exists()


def test_real_clips(shared, tmp_path):
    folder = shared / "faces"
    names = {"steady": "eval/liveportrait_d0.mp4", "tiny": "real/svfr_lq1.mp4", "film": "real/svfr_lq3.mp4"}
    table = plan_of(**{name: folder / path for name, path in names.items()})
    table = extract(table[table["start"] == 0], tmp_path)
    assert table["kept"].all(), table["reason"]
    assert (table["lost_share"] == 0).all()
    landmarks = load_file(tmp_path / "faces.safetensors")
    for clip in table.index:
        assert read_clip(tmp_path / f"hq/{clip}.mkv").shape == (5, 64, 64, 3)
        points = landmarks[f"{clip}.landmarks"]
        assert points.min() > 0
        assert points.max() < 63
        assert 20 < np.ptp(points[0, :, 0]) < 50
