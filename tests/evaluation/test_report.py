"""The report's page and figures."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from vividface.evaluation import figures
from vividface.evaluation.report import ReportInputs, write_report
from vividface.evaluation.runs import Run
from vividface.video import write_clip

CLIPS = ["b_00000", "b_00017"]
VALIDATION = pd.DataFrame({"step": [5, 10], "psnr_input": [24.0, 24.0], "psnr": [23.0, 25.0]})


@pytest.fixture(scope="module")
def inputs(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    generator = np.random.default_rng(0)
    versions = {name: folder / name for name in ("lq", "hq", *config.methods())}
    for path in versions.values():
        for clip in CLIPS:
            frames = generator.integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
            write_clip(path / f"{clip}.mkv", frames, 25)
    rows = [
        ("held_out", method, clip, "psnr_rgb", 24.0 + (method == "main") + 0.1 * index, "")
        for method in config.methods()
        for index, clip in enumerate(CLIPS)
    ]
    metrics = pd.DataFrame(rows, columns=["dataset", "method", "clip_id", "metric", "value", "reason"])
    metrics = metrics.assign(video=metrics["clip_id"])
    run = Run(
        method="main",
        num_steps=1,
        num_frames=dict.fromkeys(CLIPS, 9),
        timed_clip=CLIPS[0],
        seconds_per_run=[0.5],
        width=32,
        height=32,
        peak_memory_mb=900,
        device="a CPU",
        threads=1,
    )
    scores = {"clip_id": ["a", "b", "c"], "score": [92.0, 88.0, 95.0], "judge": "measured"}
    decisions = pd.DataFrame({**scores, "selected": [True, False, True]})
    curve = pd.DataFrame({"step": [5, 10], "loss": [0.2, 0.1]})
    kept = {
        "clip_id": [*CLIPS, "b_00034"],
        "kept": [True, True, False],
        "rejection": ["", "", "no face"],
        "reason": ["", "", "no face <b>"],
        "frames": 17,
        "fps": ["25", "25", "25"],
        "face_px": [100.0, 120.0, np.nan],
        "sharpness": [9.0, 12.0, np.nan],
    }
    located = {
        "clip_id": CLIPS,
        "lq": [str(versions["lq"] / f"{clip}.mkv") for clip in CLIPS],
        "hq": [str(versions["hq"] / f"{clip}.mkv") for clip in CLIPS],
    }
    return ReportInputs(
        metrics=metrics,
        runs={("held_out", method): run for method in config.methods()},
        curves={"main/latent_stage": curve, "p0/pixel_stage": curve},
        validations={"main/latent_stage": VALIDATION, "p0/pixel_stage": VALIDATION.iloc[:0]},
        decisions=decisions,
        clips={name: pd.DataFrame(kept) for name in config.datasets},
        located={"held_out": pd.DataFrame(located)},
        restored={("held_out", method): versions[method] for method in config.methods()},
    )


@pytest.fixture(scope="module")
def page(config, inputs, tmp_path_factory):
    return write_report(config, inputs, tmp_path_factory.mktemp("report") / "report.html").read_text()


def test_the_page_opens_offline(page):
    sources = re.findall(r'(?:src|href)\s*=\s*"([^"]+)"', page)
    sources.remove("filtering.html")
    assert len(sources) == 6
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"@import|url\(|<script", page)


def test_credits_and_licences_of_every_dataset(page, config):
    for dataset in config.datasets.values():
        assert dataset.licence in page
    assert "RAVDESS (Livingstone and Russo" in page


def test_what_was_measured_is_said(page):
    assert "On 2 clips of RAVDESS actor B, held out restored frames have a PSNR of 25.05 dB" in page
    assert "a paired gain of +1.00 dB (95 % interval +1.00 to +1.00 over 2 videos)" in page
    assert "The judge “measured” scored 3 clips on the rubric face90; 2 score above 90" in page
    assert page.count("<td>+1.00</td>") == 2
    assert "1 x no face &lt;b&gt;" in page, "text from data is escaped"
    for number in range(1, 8):
        assert f"<h2>Table {number}: " in page
    assert 'class="measured"' in page
    assert 'class="paper"' in page


def test_clips_of_one_video_have_no_interval(config, inputs, tmp_path):
    of_one = replace(inputs, metrics=inputs.metrics.assign(video="only"))
    page = write_report(config, of_one, tmp_path / "report.html").read_text()
    assert "a paired gain of +1.00 dB (no interval, since all clips are of one video)" in page


def test_the_same_inputs_give_the_same_page(page, config, inputs, tmp_path):
    assert write_report(config, inputs, tmp_path / "again.html").read_text() == page


def decode(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_curves_show_the_validation_beside_the_loss():
    loss = pd.DataFrame({"step": [5, 10], "loss": [0.2, 0.1]})
    plain = figures.training_curves({"main/latent_stage": loss}, {})
    image = decode(figures.training_curves({"main/latent_stage": loss}, {"main/latent_stage": VALIDATION}))
    blue = ((image - np.array([31, 119, 180])) ** 2).sum(axis=2) < 500
    half = len(image) // 2
    assert blue[:half].any()
    assert blue[half : half + half // 2].any()
    image = decode(plain)
    blue = ((image - np.array([31, 119, 180])) ** 2).sum(axis=2) < 500
    assert not blue[half : half + half // 2].any(), "without held-out clips the lower panel is empty"


def test_before_after_shows_each_version_of_each_clip(tmp_path):
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    clips = []
    for index in range(2):
        versions = {}
        for name, colour in colours.items():
            versions[name] = tmp_path / f"{name}{index}.mkv"
            write_clip(versions[name], np.full((9, 32, 32, 3), colour, np.uint8), 25)
        clips.append(versions)
    image = decode(figures.before_after(clips))
    assert image.shape[1] > image.shape[0]
    line = image[image.shape[0] // 2]
    order = [tuple(int(v) for v in line[len(line) * part // 6]) for part in (1, 3, 5)]
    assert order == list(colours.values())


def test_clips_of_any_shape_and_length_are_shown(tmp_path):
    clips = []
    for name, shape in (("long", (9, 32, 32)), ("short", (2, 20, 40))):
        write_clip(tmp_path / f"{name}.mkv", np.full((*shape, 3), (255, 0, 0), np.uint8), 25)
        clips.append({"a": tmp_path / f"{name}.mkv"})
    image = decode(figures.before_after(clips))
    red = (image[..., 0] > 200) & (image[..., 1] < 50)
    side = red.any(axis=0).sum()
    assert red.sum() / side**2 == pytest.approx(1.5, abs=0.05), "a square, and below it half of one"


def test_a_temporal_slice_is_one_column_over_time(tmp_path):
    frames = np.zeros((8, 32, 32, 3), np.uint8)
    frames[4:, :, 15] = 255
    frames[:, :, 16:] = (255, 0, 0)
    write_clip(tmp_path / "a.mkv", frames, 25)
    image = decode(figures.temporal_slice({"a": tmp_path / "a.mkv"}))
    red = (image[..., 0] > 200) & (image[..., 1] < 50)
    assert not red.any(), "only the middle column is shown"
    dark = image.max(axis=2) < 20
    rows = dark.sum(axis=1) > image.shape[1] // 3
    columns = np.nonzero(dark[np.nonzero(rows)[0][rows.sum() // 2]])[0]
    assert columns.max() < image.shape[1] * 0.6, "black first, white after"
