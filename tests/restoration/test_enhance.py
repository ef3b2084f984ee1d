"""`enhance`: its windows, its faces, and what goes wrong."""

import numpy as np
import pytest
import torch

from vividface.config import EnhanceConfig
from vividface.errors import InputError
from vividface.faces.base import Face, Region
from vividface.restoration.enhance import enhance
from vividface.restoration.loading import FaceRestorer
from vividface.restoration.opening import open_source
from vividface.video import probe, read_clip, write_clip

from .helpers import WINDOWS, brighten, decode, encode, run


def test_windows_are_bounded_and_reset_at_cuts(tmp_path):
    frames = np.stack([np.full((48, 64, 3), 30 if index < 13 else 220, np.uint8) for index in range(30)])
    write_clip(tmp_path / "cut.mkv", frames, 25)
    windows = []

    def restore(frames):
        windows.append((len(frames), int(frames.min()) // 100, int(frames.max()) // 100))
        return frames

    run(tmp_path / "cut.mkv", tmp_path / "new.mp4", restore, config=EnhanceConfig(window=9, overlap=2))
    assert max(length for length, _, _ in windows) == 9
    assert all(low == high for _, low, high in windows), "no window reaches over the cut"


def test_the_same_twice_is_the_same_file(video, tmp_path):
    for name in ("one.mp4", "two.mp4", "one.mkv", "two.mkv"):
        run(video, tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
    assert (tmp_path / "one.mkv").read_bytes() == (tmp_path / "two.mkv").read_bytes()


def test_colours_are_corrected_when_asked(video, tmp_path):
    run(video, tmp_path / "new.mp4", config=WINDOWS.model_copy(update={"colour": "wavelet"}))
    before, after = read_clip(video).astype(int), read_clip(tmp_path / "new.mp4").astype(int)
    assert abs((after - before).mean()) < 2, "the brightening is taken back"


def test_scale_enlarges_before_it_restores(video, tmp_path):
    shapes = set()

    def restore(frames):
        shapes.add(frames.shape[1:])
        return frames

    run(video, tmp_path / "new.mp4", restore, config=WINDOWS.model_copy(update={"scale": 2}))
    assert shapes == {(100, 132, 3)}
    assert probe(tmp_path / "new.mp4").width == 132


def test_a_damaged_video_is_restored_around_the_damage(tmp_path):
    source = encode(tmp_path / "whole.mp4", count=200)
    content = bytearray(source.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 400] = bytes(400)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    result = run(damaged, tmp_path / "new.mp4")
    assert "is damaged in" in result.problem
    assert 150 < probe(tmp_path / "new.mp4").num_frames <= 200


@pytest.mark.parametrize("case", ["exists", "same", "compare", "container"])
def test_nothing_is_overwritten(case, video, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(b"precious")
    output, compare, message = {
        "exists": (other, None, r"other\.mp4: exists already; give another name or add --overwrite"),
        "same": (video, None, "is the input itself"),
        "compare": (tmp_path / "new.mp4", other, r"other\.mp4: exists already"),
        "container": (
            tmp_path / "new.webm",
            None,
            r"new\.webm: unsupported container; use \.m4v, \.mkv",
        ),
    }[case]
    before = video.read_bytes()
    with pytest.raises(InputError, match=message):
        run(video, output, compare=compare)
    with pytest.raises(InputError, match="is the input itself"):
        run(video, video, overwrite=True)
    assert video.read_bytes() == before
    assert other.read_bytes() == b"precious"
    assert not (tmp_path / "new.mp4").exists()


def test_progress_is_told_window_by_window_and_what_it_raises_ends_the_run(video, tmp_path):
    told = []
    run(video, tmp_path / "new.mp4", on_progress=lambda *progress: told.append(progress))
    assert len(told) > 1
    assert told == sorted(set(told))
    assert {total for _, total in told} == {20}
    assert told[-1] == (20, 20)

    class StopError(Exception):
        pass

    def stop(done, total):
        raise StopError

    with pytest.raises(StopError):
        run(video, tmp_path / "out" / "new.mp4", on_progress=stop)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("not enough memory: 8 GB")],
)
def test_too_little_memory_says_what_to_lower(error, video, tmp_path):
    def restore(frames):
        raise error

    with pytest.raises(
        InputError, match=r"not enough memory for windows of 9 frames of 66x50; lower --window"
    ):
        run(video, tmp_path / "out" / "new.mp4", restore)
    assert not list((tmp_path / "out").iterdir())


def test_the_face_of_a_real_video_is_enhanced_and_the_rest_left(face_video, tmp_path):
    """With a model that darkens what it is given, what changes is the face."""
    from vividface.config import FacesConfig
    from vividface.faces.load import load_backend

    backend = load_backend(FacesConfig(backend="dlib", detection_size=640))
    frames = read_clip(face_video, 18, 43)
    write_clip(tmp_path / "face.mkv", frames, 25)
    source = open_source(tmp_path / "face.mkv")
    darken = FaceRestorer(
        restore=lambda frames: frames - np.minimum(frames, 60),
        size=128,
        clip_frames=17,
        backend=backend,
        fingerprint={},
    )
    config = EnhanceConfig(window=17, overlap=2)
    result = enhance(source, tmp_path / "new.mp4", restorer=darken, config=config, progress=False)
    assert (result.num_frames, result.num_faces) == (25, 25)
    before, after = frames.astype(int), read_clip(tmp_path / "new.mp4").astype(int)
    face = backend.detect([frames[12]])[0][0]
    x, y = face.landmarks[30].astype(int)
    change = (before - after)[12].mean(axis=-1)
    assert change[y - 10 : y + 10, x - 10 : x + 10].min() > 45
    assert np.abs(change[:40]).mean() < 3
    assert np.abs(change[:, :60]).mean() < 3


class Blinking:
    """Finds one face, which never moves, but not in the frames `lost`, which the bar in `picture` tells."""

    num_landmarks, same_person = 5, 0.9

    def __init__(self, lost):
        self._lost = lost

    def detect(self, frames):
        box = np.array([18, 8, 48, 38], np.float32)
        face = Face(box, np.repeat(box.reshape(2, 2), [3, 2], axis=0), 1.0)
        bars = [int(np.argmax(frame[12:28, :, 0].mean(axis=0) > 175)) for frame in frames]
        return [[] if round(bar / 2) in self._lost else [face] for bar in bars]

    def parse(self, frames, faces):
        return np.full((len(frames), *frames[0].shape[:2]), Region.FACE, np.uint8)

    def embed(self, frames, faces):
        return np.ones((len(faces), 1), np.float32)


def test_a_face_that_is_lost_where_two_windows_meet_is_restored_all_the_same(tmp_path):
    encode(tmp_path / "in.mp4")
    shown = []
    for lost in ((), (7, 8, 9)):
        restorer = FaceRestorer(
            restore=brighten, size=64, clip_frames=9, backend=Blinking(lost), fingerprint={}
        )
        output = tmp_path / f"{len(lost)}.mp4"
        result = enhance(
            open_source(tmp_path / "in.mp4"), output, restorer=restorer, config=WINDOWS, overwrite=True
        )
        assert result.num_faces == 20
        shown.append(np.stack([pixels for _, pixels, _ in decode(output)]).astype(int))
    assert np.abs(shown[1] - shown[0]).max() <= 1


def test_a_video_of_small_faces_alone_says_what_to_do(tmp_path):
    encode(tmp_path / "in.mp4")
    restorer = FaceRestorer(restore=brighten, size=64, clip_frames=9, backend=Blinking(()), fingerprint={})
    config = WINDOWS.model_copy(update={"min_face": 48})
    output = tmp_path / "new.mp4"
    with pytest.raises(InputError, match=r"left alone \(small faces in 20 frames\); lower --min-face"):
        enhance(open_source(tmp_path / "in.mp4"), output, restorer=restorer, config=config)
    assert not list(tmp_path.glob("new*"))


def test_what_was_computed_again_is_a_note(video, tmp_path):
    repeated = [3]

    def restore(frames):
        repeated[0] += 1
        return frames

    restorer = FaceRestorer(
        restore=restore,
        size=64,
        clip_frames=9,
        backend=None,
        fingerprint={},
        num_repeated=lambda: repeated[0],
    )
    result = enhance(open_source(video), tmp_path / "new.mp4", restorer=restorer, config=WINDOWS)
    assert result.notes == ["3 windows were computed again in float32"]
