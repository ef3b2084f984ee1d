"""Running a published method: a stub with a real repository, environment and program."""

import logging
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from evaluation.methods.stub import (
    COMMAND,
    PROGRAM,
    STOPPING,
    WRITE_BLACK,
    describe,
    installation_of,
    make_repository,
    patch_of,
)

from vividface.downloads import Lock
from vividface.errors import InputError
from vividface.evaluation.methods.external import DegradedClip, restore_with_published
from vividface.evaluation.runs import Run
from vividface.video import probe, read_clip


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stub") / "repository"
    return folder, make_repository(folder, {"restore.py": PROGRAM, "tool/inner.py": PROGRAM})


@pytest.fixture(scope="module")
def environment(tmp_path_factory, repository):
    """An environment that all tests of this file share, since making one takes a second."""
    folder = tmp_path_factory.mktemp("environment")
    values = describe(*repository, "frames")
    installation = installation_of(values, folder)
    installation.fetch([], Lock(folder / "lock.json"))
    return installation.interpreter.folder


@pytest.fixture
def install(repository, environment, tmp_path):
    """`install(kind, **keys)`: the stub with these keys of its description, fetched."""

    def make(kind, **keys):
        values = describe(*repository, kind)
        installation = installation_of({**values, **keys}, tmp_path)
        if not installation.interpreter.folder.exists():
            installation.folder.mkdir(exist_ok=True)
            installation.interpreter.folder.symlink_to(environment)
        installation.fetch([], Lock(tmp_path / "lock.json"))
        return installation

    return make


@pytest.fixture
def clips(moving_frames):
    """Two clips whose names programs would cut, of 9 and 5 frames of 64 x 48 px."""
    frames = moving_frames[:, :48]
    return [
        DegradedClip("first.clip-000000", lambda: frames, Fraction(25)),
        DegradedClip("second", lambda: frames[:5] // 2, Fraction(30000, 1001)),
    ]


@pytest.mark.parametrize("kind", ["video", "frames", "videos", "frame_folders"])
def test_every_kind_of_input_goes_in_and_out_without_loss(install, clips, tmp_path, kind):
    restore_with_published(install(kind), clips, tmp_path / "out")
    for clip in clips:
        path = tmp_path / f"out/{clip.name}.mkv"
        np.testing.assert_array_equal(read_clip(path), clip.read())
        assert probe(path).fps == clip.fps
    run = Run.read(tmp_path / "out")
    assert run.num_frames == {"first.clip-000000": 9, "second": 5}
    assert (run.method, run.timed_clip, run.width, run.height) == ("stub", "first.clip-000000", 64, 48)
    assert run.seconds > 0
    assert "its own program, with loading of the model" in run.conditions
    assert ("one run of all clips" in run.conditions) == (kind in ("videos", "frame_folders"))


def test_a_lossless_mp4_is_given_to_what_reads_no_matroska(install, clips, tmp_path):
    reads = {"kind": "video", "codec": "h264_rgb"}
    restore_with_published(install("video", input=reads), clips, tmp_path / "out")
    np.testing.assert_array_equal(read_clip(tmp_path / "out/second.mkv"), clips[1].read())


def test_a_program_runs_in_its_own_environment_and_its_output_is_logged(install, clips, tmp_path, caplog):
    installation = install("frames")
    with caplog.at_level(logging.INFO):
        restore_with_published(installation, clips[1:], tmp_path / "out")
    assert f"environment {installation.interpreter.folder} value" in caplog.text
    assert "input c0000p000 5" in caplog.text


def test_a_program_runs_in_a_folder_of_its_code(install, clips, tmp_path):
    installation = install("frames", folder="tool", commands=[["python", "inner.py", *COMMAND[2:]]])
    restore_with_published(installation, clips[1:], tmp_path / "out")
    np.testing.assert_array_equal(read_clip(tmp_path / "out/second.mkv"), clips[1].read())


def test_pieces_are_padded_by_repeating_the_last_frame_and_trimmed(install, clips, tmp_path, caplog):
    """Nine frames in pieces of at most 6, each a multiple of 3 and at least 6, of which 2 are lost."""
    installation = install(
        "frames",
        frames={"minimum": 6, "maximum": 9, "multiple": 3, "lost": 2},
        commands=[[*COMMAND, "--drop", "2"]],
    )
    with caplog.at_level(logging.INFO):
        restore_with_published(installation, clips, tmp_path / "out")
    np.testing.assert_array_equal(read_clip(tmp_path / "out/first.clip-000000.mkv"), clips[0].read())
    given = [record.message for record in caplog.records if record.message.startswith("input")]
    assert given == ["input c0000p000 9", "input c0000p001 6", "input c0001p000 9"]


def test_frames_that_do_not_come_out_are_an_error(install, clips, tmp_path):
    installation = install("frames", commands=[[*COMMAND, "--drop", "1"]])
    with pytest.raises(InputError, match=r"Stub: wrote 8 frames of c0000p000 .* but 9 of the 9"):
        restore_with_published(installation, clips, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_result_elsewhere_is_an_error(install, clips, tmp_path):
    installation = install("frames", output={"kind": "frames", "path": "{output}/elsewhere/*.png"})
    with pytest.raises(InputError, match=r"ended well, but 0 files fit .*/elsewhere/\*\.png"):
        restore_with_published(installation, clips, tmp_path / "out")


def test_a_program_that_fails_is_told_with_its_last_lines(install, clips, tmp_path):
    installation = install("frames", commands=[[*COMMAND, "--fail"]])
    with pytest.raises(InputError, match=r"Stub: .*restore\.py.* ends with status 3: .*\| no such device$"):
        restore_with_published(installation, clips, tmp_path / "out")


def test_an_enlarging_network_is_given_a_quarter_and_its_result_resized(install, clips, tmp_path):
    """The stub does not enlarge, so that the result is a quarter's size enlarged."""
    output = {"kind": "frames", "path": "{output}/{name}/*.png", "size": "any"}
    installation = install("frames", input={"kind": "frames", "size": "quarter"}, output=output)
    restore_with_published(installation, clips, tmp_path / "out")
    frames = read_clip(tmp_path / "out/second.mkv")
    assert frames.shape == (5, 48, 64, 3)
    assert 0 < np.abs(frames.astype(int) - clips[1].read()).mean() < 20


def test_a_result_of_another_size_is_an_error_where_the_method_keeps_it(install, clips, tmp_path):
    program = PROGRAM.replace("shutil.copy(image, target / image.name)", WRITE_BLACK)
    installation = install("frames", patches=[patch_of(program)])
    with pytest.raises(InputError, match=r"Stub: wrote frames of 2x1 px, but was given 64x48"):
        restore_with_published(installation, clips, tmp_path / "out")


def test_square_networks_get_512_px_and_their_result_is_resized(install, clips, tmp_path):
    output = {"kind": "frames", "path": "{output}/{name}/*.png", "size": "same"}
    installation = install("frames", input={"kind": "frames", "size": "square_512"}, output=output)
    restore_with_published(installation, clips[1:], tmp_path / "out")
    frames = read_clip(tmp_path / "out/second.mkv")
    assert frames.shape == (5, 48, 64, 3)
    assert np.abs(frames.astype(int) - clips[1].read()).mean() < 2


def test_the_time_of_the_model_alone_is_taken_where_the_program_prints_it(install, clips, tmp_path):
    installation = install("frames", seconds=r"model took ([0-9.]+) s", frames={"maximum": 3})
    restore_with_published(installation, clips, tmp_path / "out")
    run = Run.read(tmp_path / "out")
    assert run.seconds == 4.5, "three pieces of the first clip"
    assert "the model alone, as its own program prints it" in run.conditions


# A clock that only the model moves, two seconds for a frame.
NETWORK = """
import time
now = [0.0]
time.perf_counter = lambda: now[0]


class Network:
    def forward(self, num_frames):
        now[0] += 2 * num_frames
"""
RESTORING = f"""
import argparse
from network import Network
{PROGRAM}
now = Network().forward(len(list(arguments.input.iterdir())))
"""


@pytest.mark.parametrize(("kind", "seconds"), [("frames", 18.0), ("frame_folders", 4 * 9 / 14)])
def test_the_time_of_the_model_alone_is_that_of_its_calls(install, clips, tmp_path, kind, seconds):
    """Of two clips in a run of all, the first has 9 of 14 frames; its three pieces have 9 in runs of one."""
    pieces = {"frames": {"maximum": 3}} if kind == "frames" else {}
    installation = install(kind, patches=[patch_of(RESTORING)], timed=["network:Network.forward"], **pieces)
    (installation.source / "network.py").write_text(NETWORK)
    restore_with_published(installation, clips, tmp_path / "out")
    run = Run.read(tmp_path / "out")
    assert run.seconds == pytest.approx(seconds)
    assert "Stub: the model alone, the calls of Network.forward in its own program" in run.conditions
    np.testing.assert_array_equal(read_clip(tmp_path / "out/second.mkv"), clips[1].read())


def test_a_model_that_is_never_called_is_an_error(install, clips, tmp_path):
    installation = install("frames", timed=["network:Network.forward"])
    with pytest.raises(InputError, match=r"Stub: called none of network:Network\.forward; correct `timed`"):
        restore_with_published(installation, clips, tmp_path / "out")


@pytest.fixture
def stopped(install, clips, tmp_path):
    """The stub, whose run ended with an error at its second clip of two."""
    installation = install("frames", patches=[patch_of(STOPPING + PROGRAM)], seconds="model took ([0-9.]+) s")
    (installation.source / "stop").write_text("c0001p000")
    with pytest.raises(InputError, match="stopped"):
        restore_with_published(installation, clips, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (installation.source / "stop").unlink()
    (installation.source / "runs").unlink()
    return installation


def runs_of(installation):
    return (installation.source / "runs").read_text().split()


def test_a_stopped_run_is_resumed_at_its_clip(stopped, clips, tmp_path):
    """Half a video, as of a process that was killed while it wrote, is written again."""
    (tmp_path / "out.partial/second.mkv").write_bytes(b"half")
    restore_with_published(stopped, clips, tmp_path / "out")
    assert runs_of(stopped) == ["c0001p000"]
    for clip in clips:
        np.testing.assert_array_equal(read_clip(tmp_path / f"out/{clip.name}.mkv"), clip.read())
    names = {"first.clip-000000.mkv", "second.mkv", "run.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert not (tmp_path / "out.partial").exists()
    run = Run.read(tmp_path / "out")
    assert run.num_frames == {"first.clip-000000": 9, "second": 5}
    assert (run.timed_clip, run.seconds, run.width, run.height) == ("first.clip-000000", 1.5, 64, 48)


def test_a_clip_that_is_not_the_same_any_more_is_restored_again(stopped, clips, tmp_path):
    frames = 255 - clips[0].read()
    clips[0] = DegradedClip(clips[0].name, lambda: frames, clips[0].fps)
    restore_with_published(stopped, clips, tmp_path / "out")
    assert runs_of(stopped) == ["c0000p000", "c0001p000"]
    np.testing.assert_array_equal(read_clip(tmp_path / f"out/{clips[0].name}.mkv"), frames)


@pytest.mark.parametrize("change", ["settings", "method", "fps"])
def test_clips_that_were_restored_otherwise_are_restored_again(stopped, clips, tmp_path, change):
    if change == "fps":
        clips[0] = DegradedClip(clips[0].name, clips[0].read, Fraction(24))
    if change == "method":
        method = stopped.method.model_copy(update={"num_steps": 3})
        stopped = replace(stopped, method=method)
    settings = "dlib" if change == "settings" else None
    restore_with_published(stopped, clips, tmp_path / "out", settings=settings)
    assert runs_of(stopped) == ["c0000p000", "c0001p000"]


def test_a_clip_that_is_wanted_no_more_is_left_out(stopped, clips, tmp_path):
    restore_with_published(stopped, clips[1:], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"second.mkv", "run.json"}


def test_a_run_of_all_clips_begins_anew(install, clips, tmp_path):
    installation = install("videos", patches=[patch_of(STOPPING + PROGRAM)])
    (installation.source / "stop").write_text("input")
    with pytest.raises(InputError, match="stopped"):
        restore_with_published(installation, clips, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
    (installation.source / "stop").unlink()
    restore_with_published(installation, clips, tmp_path / "out")
    assert runs_of(installation) == ["input", "input"]


def test_aligned_faces_go_through_the_protocol(install, clips, tmp_path):
    """The protocol crops, and pastes what comes back; a clip without a face is left to it alone."""

    def protocol(frames, restore):
        return (
            frames if len(frames) == 9 else np.ascontiguousarray(restore(frames[:, 8:40, 8:40])[:, :, ::-1])
        )

    installation = install("frames", input={"kind": "frames", "protocol": "aligned"})
    restore_with_published(installation, clips, tmp_path / "out", aligned=protocol)
    restored = read_clip(tmp_path / "out/second.mkv")
    np.testing.assert_array_equal(restored, clips[1].read()[:, 8:40, 8:40][:, :, ::-1])
    assert Run.read(tmp_path / "out").timed_clip == "second"
    with pytest.raises(InputError, match="takes aligned faces alone"):
        restore_with_published(installation, clips, tmp_path / "none")
