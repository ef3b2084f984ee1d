"""What is said below the tables about a configuration."""

import pytest

from vividface.config import load_config, merge_files, validate_config
from vividface.evaluation.notes import differences
from vividface.evaluation.paper import paper_tables


@pytest.fixture(scope="module")
def paper(repository):
    return load_config(repository / "config.yaml")


def notes(config, number=1):
    table = paper_tables()[number]
    names = [n for n, d in config.by_role("benchmark").items() if d.has_reference == table.needs_reference]
    return differences(table, names, config)


def test_the_papers_experiment(paper):
    published, degraded, pool, pixels = notes(paper)
    assert published.startswith("VFHQ-test: degraded here,")
    assert degraded.startswith("VFHQ-test, degraded by DicFace: degraded by its publisher")
    assert pool.endswith("MLLM-Face90 is selected from; here it is the coarse set.")
    assert "[-1, 1]" in pixels


def test_whole_videos_that_are_really_degraded_are_the_papers(paper):
    assert len(notes(paper, 2)) == 2, "of the training alone"


def test_crops_and_pieces_are_told(config):
    cropped, pieces, degraded, *_ = notes(config)
    assert cropped.startswith("RAVDESS actor B, held out: cropped to the face and resized")
    assert pieces == "RAVDESS actor B, held out: in clips of one length, not in whole videos."
    assert "degraded here" in degraded


def test_the_pool_and_methods_that_are_not_trained(repository):
    values = merge_files([repository / "config.yaml"])
    vfhq = values["datasets"]["vfhq"]
    values["datasets"]["rest"] = {**vfhq, "title": "the rest of VFHQ", "candidates": True}
    assert any("the coarse set and the rest of VFHQ" in note for note in notes(validate_config(values)))
    values["variants"] = {"main": {"title": "t", "selected_set": False}}
    assert not any("pool" in note for note in notes(validate_config(values)))


def test_the_tables_declare_what_the_notes_read(paper):
    """As the rule does, which has these keys alone."""
    keys = [
        *(f"datasets.*.{name}" for name in ("role", "degrade", "lq_source.kind", "crop", "num_frames")),
        *("datasets.*.candidates", "datasets.*.title", "variants.*.selected_set"),
    ]
    assert notes(paper.restricted(paper.pick(*keys))) == notes(paper)
