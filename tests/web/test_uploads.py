"""What visitors give: its name and its kind are looked through."""

import shutil
import subprocess

import cv2
import numpy as np
import pytest

from vividface.errors import InputError
from vividface.video import ffmpeg_executable
from vividface.web.uploads import accept_upload, readable, result_name


def given(tmp_path, content, name="blob"):
    folder = tmp_path / "uploads"
    folder.mkdir(exist_ok=True)
    return shutil.copyfile(content, folder / name)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.mp4", "C:\\films\\opa.mp4", "/etc/cron.d/x.mp4", "a\0b.mp4", "..", "x" * 3000]
)
def test_no_name_leads_out_of_the_folder(name, clip, tmp_path):
    folder = tmp_path / "visit"
    upload = accept_upload(given(tmp_path, clip), folder, name=name)
    assert [path.name for path in folder.iterdir()] == ["input.mp4"]
    assert upload.path == folder / "input.mp4"
    assert "/" not in upload.name
    assert not (tmp_path / "uploads" / "blob").exists(), "it was moved"
    saved = result_name(upload.name, suffix=".mp4")
    assert len(saved) < 110
    assert not set(saved) & set("/\\\0<>:")
    assert saved.endswith("_enhanced.mp4")


def test_the_name_of_a_result_is_the_input_s_without_what_names_may_not_hold():
    assert result_name("Grandma & <i>Opa<i>.avi", suffix=".mp4") == "Grandma _ _i_Opa_i_enhanced.mp4"
    assert result_name("Omas 80. Füße.mov", suffix=".mov") == "Omas 80_ Füße_enhanced.mov"
    assert result_name("...", suffix=".mp4") == "video_enhanced.mp4"


def test_the_kind_is_what_the_content_says(clip, tmp_path):
    """A container without a suffix, a wrong one, and a photo that is called a video."""
    for index, (suffix, expected) in enumerate([("", ".mkv"), (".txt", ".mkv"), (".mkv", ".mkv")]):
        film = tmp_path / "film.mkv"
        command = [ffmpeg_executable(), "-v", "error", "-y", "-i", str(clip), "-c", "copy", str(film)]
        subprocess.run(command, check=True)
        upload = accept_upload(given(tmp_path, film), tmp_path / f"visit{index}", name=f"film{suffix}")
        assert (upload.path.suffix, upload.is_video, upload.source.num_frames) == (expected, True, 25)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((40, 60, 3), 99, np.uint8))
    upload = accept_upload(given(tmp_path, photo), tmp_path / "photo", name="photo.mp4")
    assert (upload.path.name, upload.is_video, upload.source.size) == ("input.png", False, (60, 40))


@pytest.mark.parametrize("kind", ["text", "empty", "playlist", "concat"])
def test_what_is_no_film_is_refused_and_removed(kind, clip, letter, tmp_path):
    content = {
        "text": letter.read_text(),
        "empty": "",
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{clip}'\n",
    }[kind]
    path = tmp_path / "given"
    path.write_text(content)
    folder = tmp_path / "visit"
    message = r"^secret\.mp4: is neither a video nor a picture that can be read; is it whole\?$"
    with pytest.raises(InputError, match=message):
        accept_upload(given(tmp_path, path), folder, name="secret.mp4")
    assert not list(folder.iterdir())


def test_an_example_stays_where_it_is(clip, tmp_path):
    before = clip.read_bytes()
    upload = accept_upload(clip, tmp_path / "visit", name=clip.name, keep=True)
    assert upload.source.num_frames == 25
    upload.path.unlink()
    assert clip.read_bytes() == before


def test_a_file_that_is_gone_is_asked_for_again(tmp_path):
    with pytest.raises(InputError, match=r"^film\.mp4: is not here any more; give it again$"):
        accept_upload(tmp_path / "nothing", tmp_path / "visit", name="film.mp4")


def test_an_error_is_told_in_the_visitor_s_words(tmp_path):
    path = tmp_path / "input.mp4"
    error = InputError(f"{path}: no face was found in 3 frames; use --mode crop, or add --scale 2")
    assert readable(error, path=path, name="opa.mp4") == "opa.mp4: no face was found in 3 frames"
    error = InputError(f"{path}: has no video stream; give a video file")
    assert readable(error, path=path, name="opa.mp4") == "opa.mp4: has no video stream; give a video file"
