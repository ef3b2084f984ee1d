"""Visitors: their files, their enhancements, and that nothing of them stays."""

import shutil

import pytest
from progress import wait_until

from vividface.video import probe, read_clip, write_clip
from vividface.web.enhancing import Choice
from vividface.web.jobs import Jobs, State
from vividface.web.visits import Visits

CHOICE = Choice(model="nano", strength=1.0, face="all")


@pytest.fixture
def jobs():
    made = Jobs()
    yield made
    made.close(timeout=60)


@pytest.fixture
def visits(tmp_path, jobs):
    return Visits(tmp_path / "server", jobs)


def give(visits, visit, path, tmp_path):
    (tmp_path / "uploads").mkdir(exist_ok=True)
    copy = shutil.copyfile(path, tmp_path / "uploads" / "blob")
    visits.accept(visit, copy, name=path.name)


def served(visits, address):
    return visits.served(address.removeprefix("/files/"))


def files(tmp_path):
    folder = tmp_path / "server"
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def test_a_film_is_enhanced_and_served_until_its_visitor_leaves(visits, clip, tmp_path):
    visit = visits.of("one")
    assert visits.of("one") is visit
    give(visits, visit, clip, tmp_path)
    assert served(visits, visit.preview).path == visit.upload.path
    job = visits.enhance(visit, CHOICE)
    assert job.wait()
    assert job.state is State.DONE, job.error
    assert (job.result.num_frames, job.result.num_faces) == (25, 25)
    before, after, result = visits.addresses(visit)
    assert served(visits, before).path == visit.upload.path
    assert served(visits, after).path == job.result.output
    assert served(visits, result).name == "Grandma _ _i_Opa_i_enhanced.mp4"
    assert probe(job.result.output).num_frames == 25
    assert probe(job.result.output).width == probe(clip).width
    assert visits.served("../../etc/passwd") is None
    visits.end("one")
    assert not files(tmp_path)
    assert all(served(visits, address) is None for address in (before, after, result))
    assert clip.exists()


def test_the_result_has_the_input_s_container_where_that_can_be_written(visits, clip, tmp_path):
    frames = read_clip(clip)[:5]
    for name, codec, suffix in [("a.mkv", "ffv1", ".mkv"), ("a.avi", "h264", ".mp4")]:
        path = tmp_path / name
        write_clip(path, frames, 25, codec=codec)
        visit = visits.of(name)
        give(visits, visit, path, tmp_path)
        job = visits.enhance(visit, CHOICE)
        assert job.wait()
        assert job.state is State.DONE, job.error
        assert job.result.output.suffix == suffix
        assert {job.result.before.suffix, job.result.after.suffix} == {".mp4"}, "copies that browsers play"
        assert probe(job.result.before).num_frames == probe(job.result.after).num_frames == 5


def test_a_cancelled_enhancement_leaves_the_upload_alone(visits, long_clip, tmp_path):
    visit = visits.of("one")
    give(visits, visit, long_clip, tmp_path)
    before = files(tmp_path)
    job = visits.enhance(visit, CHOICE)
    wait_until(lambda: job.num_done or job.is_over)
    assert 0 < job.num_done < job.num_frames == 1000
    assert job.seconds_left is not None
    visits.cancel(visit)
    assert job.wait()
    assert job.state is State.CANCELLED
    assert files(tmp_path) == before


def test_a_visitor_who_leaves_in_the_middle_leaves_nothing(visits, long_clip, tmp_path):
    visit = visits.of("one")
    give(visits, visit, long_clip, tmp_path)
    job = visits.enhance(visit, CHOICE)
    wait_until(lambda: job.num_done or job.is_over)
    visits.end("one")
    assert job.wait()
    assert job.state is State.CANCELLED
    job.then(lambda: None)
    assert not files(tmp_path)


def test_a_refused_file_takes_the_place_of_the_one_before(visits, clip, letter, tmp_path):
    visit = visits.of("one")
    give(visits, visit, clip, tmp_path)
    preview = visit.preview
    give(visits, visit, letter, tmp_path)
    assert visit.error.startswith("letter.mp4: is neither a video nor a picture")
    assert (visit.upload, visit.preview, served(visits, preview)) == (None, "", None)
    assert not files(tmp_path)


def test_a_film_without_a_face_says_so_in_one_sentence(visits, tmp_path, moving_frames):
    write_clip(tmp_path / "wall.mp4", moving_frames, 25, codec="h264")
    visit = visits.of("one")
    give(visits, visit, tmp_path / "wall.mp4", tmp_path)
    job = visits.enhance(visit, CHOICE)
    assert job.wait()
    assert (job.state, job.error) == (State.FAILED, "wall.mp4: no face was found in 9 frames")
