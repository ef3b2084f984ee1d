"""The pictures of the page and of a preview in docs/: degraded films of packages, enhanced by nano.

python benchmarks/page_pictures.py --output docs

It needs the extra [web], playwright and Chromium.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from vividface import load_config
from vividface.cli.main import main as vividface
from vividface.config.datasets import PackageSource
from vividface.data.degradation import degrade_clip, isotropic_parameters
from vividface.data.showcase import write_watchable
from vividface.video import ffmpeg_executable
from vividface.weights.packages import fetch_member

_QUALITY = 85
# s, of the films' durations; share of it at which the page is shown; ms that a slow machine may take.
_DURATION = 2
_SHARE = "0.65"
_PATIENCE = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of web.jpg and preview.jpg")
    output: Path = parser.parse_args().output
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        carphone = folder / "carphone.mp4"
        write_old_film("demo_train", 4, carphone, size=(528, 432), sigma=2.5, scale=2.0, noise=6.0)
        part = ["--start", "1", "--frames", "20", "--model", "nano", "--overwrite"]
        vividface(["enhance", str(carphone), "--preview", str(output / "preview.jpg"), *part])
        actress = folder / "actress.mp4"
        write_old_film("held_out", 1, actress, size=(640, 360), sigma=2.6, scale=3.0, noise=7.0)
        with _page(folder) as page:
            _compare(page, actress)
            page.screenshot(path=output / "web.jpg", type="jpeg", quality=_QUALITY)


def write_old_film(
    dataset: str,
    number: int,
    output: Path,
    *,
    size: tuple[int, int],
    sigma: float,
    scale: float,
    noise: float,
) -> None:
    """Write a film of a package, degraded as in the paper.

    Args:
        dataset: dataset of the demo's configuration.
        number: number of the film in it.
        output: path of the film.
        size: width and height of the film, px.
        sigma: standard deviation of the blur, px.
        scale: factor of the down-sampling.
        noise: standard deviation of the noise, of 255.
    """
    root = Path(__file__).parents[1]
    config = load_config(root / "config.yaml", root / "configs/demo.yaml")
    source = config.datasets[dataset].source
    assert isinstance(source, PackageSource)
    parameters = isotropic_parameters(
        seed=number, sigma=sigma, scale=scale, noise=noise, crf=24, interpolation="cubic"
    )
    with tempfile.TemporaryDirectory() as name:
        whole, hq, lq = (Path(name) / film for film in ("whole.mp4", "hq.mp4", "lq.mkv"))
        fetch_member(source.members[number], whole)
        scaled = f"scale={size[0]}:{size[1]}:flags=bicubic"
        options = ["-t", str(_DURATION), "-vf", scaled, "-crf", "8"]
        subprocess.run([ffmpeg_executable(), "-v", "error", "-i", whole, *options, hq], check=True)
        degrade_clip(hq, lq, parameters=parameters, config=config.degradation)
        write_watchable(lq, hq, output)


@contextmanager
def _page(folder: Path) -> Iterator[Page]:
    """The page of a server of its own, in a browser without a window."""
    command = [sys.executable, "-m", "vividface", "web", "--port", "0", "--model", "nano"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address, "the server did not start"
            with sync_playwright() as running:
                browser = running.chromium.launch(
                    executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
                    args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
                )
                page = browser.new_page(viewport={"width": 1280, "height": 720})
                page.set_default_timeout(_PATIENCE)
                page.goto(address[0])
                yield page
                browser.close()
        finally:
            server.terminate()


def _compare(page: Page, film: Path) -> None:
    """Have a film enhanced, and stop it with the divider in the middle."""
    page.set_input_files("#vf-drop input[type=file]", film)
    page.wait_for_selector(".vf-stage")
    page.click("#vf-start")
    page.wait_for_selector("vividface-compare")
    page.wait_for_function(
        "[...document.querySelectorAll('vividface-compare video')].every(video => video.readyState > 1)"
    )
    page.click(".vf-play")
    page.locator(".vf-seek").fill(_SHARE)
    page.wait_for_function(
        "[...document.querySelectorAll('vividface-compare video')].every(video => video.paused && "
        f"!video.seeking && Math.abs(video.currentTime / video.duration - {_SHARE}) < 0.05)"
    )
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)


if __name__ == "__main__":
    main()
