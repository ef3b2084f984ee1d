"""The page in a real browser: a film is given, enhanced, looked at, downloaded."""

import shutil
import subprocess

import numpy as np
import pytest

from vividface.video import ffmpeg_executable, probe, read_clip

pytest.importorskip("gradio", reason="the extra [web] is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian's package chromium)"),
    pytest.mark.xdist_group("browser"),
]
# The browser itself asks nobody for anything.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
DROP = "#vf-drop input[type=file]"
# All of the page is seen without scrolling.
FITS = "document.documentElement.scrollHeight <= innerHeight"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=0)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """`visit(server)` opens its page, and collects where the page's requests go and what it complains of."""
    contexts = []

    def open_page(server):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(0)
        page.requested, page.complaints = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
        page.goto(server.url)
        page.wait_for_selector(DROP, state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()


def give(page, path, shown=".vf-stage"):
    page.set_input_files(DROP, path)
    page.wait_for_selector(shown)


def test_a_film_is_enhanced_compared_and_downloaded(server, visit, clip, tmp_path):
    page = visit(server)
    assert page.is_disabled("#vf-start")
    give(page, clip)
    assert page.inner_text(".vf-caption").startswith("Grandma & iOpai.mp4")
    page.click("#vf-start")
    page.wait_for_selector("vividface-compare")
    assert "faces restored in 25 of 25 frames" in page.inner_text(".vf-good")

    page.wait_for_function(FITS)
    videos = page.locator("vividface-compare video")
    assert videos.count() == 2
    page.wait_for_function(
        "[...document.querySelectorAll('vividface-compare video')].every(video => video.readyState > 1)"
    )
    page.click(".vf-play")
    page.locator(".vf-seek").fill("0.5")
    page.wait_for_function(
        """() => { const [a, b] = document.querySelectorAll('vividface-compare video');
        return a.paused && b.paused && !a.seeking && !b.seeking && b.currentTime > 0.4
               && Math.abs(a.currentTime - b.currentTime) < 0.01; }"""
    )
    before, after = (videos.nth(index).get_attribute("src") for index in (0, 1))
    assert before != after
    box = page.locator(".vf-slide").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 40)
    assert 20 < _divider(page) < 30
    page.keyboard.press("End")
    assert _divider(page) == 100
    assert page.evaluate("getComputedStyle(document.querySelector('.vf-after')).clipPath") == (
        "inset(0px 0px 0px 100%)"
    )

    with page.expect_download() as download:
        page.click(".vf-download")
    assert download.value.suggested_filename == "Grandma & iOpai_enhanced.mp4".replace("&", "_")
    result = tmp_path / "result.mp4"
    download.value.save_as(result)
    assert (probe(result).num_frames, probe(result).width) == (25, probe(clip).width)
    assert np.abs(read_clip(result).astype(int) - read_clip(clip)).max() > 10, "a face was restored"

    page.click("#vf-another")
    page.wait_for_selector("#vf-drop", state="visible")
    assert not server.files()
    assert page.requested
    assert all(url.startswith((server.url, "blob:", "data:")) for url in page.requested)
    assert not page.complaints
    assert not server.outside.exists(), server.outside.read_text()


def _divider(page):
    style = page.evaluate("document.querySelector('vividface-compare').style.getPropertyValue('--at')")
    return float(style.removesuffix("%"))


def test_visitors_wait_for_each_other_cancel_and_leave(serve, visit, clip, long_clip, letter, tmp_path):
    examples = tmp_path / "examples"
    examples.mkdir()
    shutil.copyfile(clip, examples / "one.mp4")
    server = serve("--examples", str(examples))
    first, second = visit(server), visit(server)

    second.wait_for_selector("#vf-examples img")
    second.wait_for_function(FITS)
    give(first, letter, ".vf-bad")
    assert first.inner_text(".vf-bad") == (
        "letter.mp4: is neither a video nor a picture that can be read; is it whole?"
    )
    give(first, long_clip)
    first.click("#vf-start")
    first.wait_for_selector(".vf-progress")
    second.click("#vf-examples button >> nth=0")
    second.wait_for_selector(".vf-stage")
    second.click("#vf-start")
    second.get_by_text("1 other is before yours").wait_for()
    first.get_by_text("of 1000 frames").wait_for()
    assert first.inner_text(".vf-progress").endswith("left")
    first.click("#vf-cancel")
    first.get_by_text("Cancelled. Nothing was kept of it.").wait_for()
    assert first.is_enabled("#vf-start")

    second.wait_for_selector("vividface-compare")
    assert "25 of 25 frames" in second.inner_text(".vf-good")
    assert "result.mp4" in server.files()
    first.context.close()
    second.context.close()
    # What a visitor gave goes with the visitor.
    server.wait_until(lambda: not {"input.mp4", "result.mp4"} & set(server.files()))
    assert (examples / "one.mp4").exists()


def test_a_photo_is_compared_and_a_tape_is_shown(server, visit, clip, tmp_path):
    photo, tape = tmp_path / "photo.tiff", tmp_path / "tape.mpg"
    for options, path in ((["-frames:v", "1"], photo), (["-c:v", "mpeg2video", "-q:v", "2"], tape)):
        subprocess.run([ffmpeg_executable(), "-v", "error", "-i", str(clip), *options, str(path)], check=True)
    page = visit(server)
    give(page, tape)
    page.wait_for_function("document.querySelector('.vf-stage video').videoWidth > 0")
    page.click("#vf-another")
    page.wait_for_selector("#vf-drop", state="visible")
    give(page, photo)
    page.click("#vf-start")
    page.wait_for_selector("vividface-compare img >> nth=1")
    page.wait_for_function(
        "[...document.querySelectorAll('vividface-compare img')].every(image => image.naturalWidth > 0)"
    )
    with page.expect_download() as download:
        page.click(".vf-download")
    assert download.value.suggested_filename == "photo_enhanced.tiff"
