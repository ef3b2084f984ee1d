"""Deciding about scored clips, the configurations, and the page that shows the decisions."""

import numpy as np
import pandas as pd
import pytest

from vividface.config import load_config
from vividface.config.filtering import SECTIONS, SelectionConfig
from vividface.errors import InputError
from vividface.evaluation.filtering_page import write_filtering_page
from vividface.filtering.base import Verdict
from vividface.filtering.selection import decide, selected_clips, threshold_of

IDS = ["a", "b", "c", "d", "e", "f"]
CLIPS = pd.DataFrame(
    {
        "clip_id": IDS,
        "dataset": "mine",
        "video_id": ["v1", "v1", "v1", "v2", "v2", "v3"],
        "person": ["p1", "p1", "p1", "p1", "p2", "p3"],
    }
)


@pytest.fixture
def scores(rubric):
    finals = np.array([95, 96, 91, 90, 93, np.nan])
    table = pd.DataFrame({"clip_id": IDS, "shard": "0000", "judge": "measured", "score": finals})
    table["problem"] = ["", "", "", "", "", "cannot be read"]
    table["adjustment"] = 0.0
    for name, criterion in rubric.criteria.items():
        table[name] = np.where(np.isnan(finals), np.nan, criterion.points)
    table["clarity"] -= 100 - finals
    return table


def config(**values):
    return SelectionConfig(rubric="face90", max_unscored_share=0.5, **values)


@pytest.mark.parametrize(
    ("values", "selected"),
    [
        ({}, ["a", "b", "c", "e"]),
        ({"threshold": 93}, ["a", "b"]),
        ({"threshold": None, "top_share": 0.5}, ["a", "b"]),
        ({"threshold": None, "top_share": 0.6}, ["a", "b", "e"]),
        ({"threshold": None, "top_share": 1}, ["a", "b", "c", "d", "e"]),
        ({"threshold": 94, "top_share": 0.5}, ["a", "b"]),
        ({"per_video": 1}, ["b", "e"]),
        ({"per_video": 2, "per_person": 1}, ["b", "e"]),
        ({"threshold": 80, "per_person": 3}, ["a", "b", "c", "e"]),
        ({"offsets": {"clarity": -3.5}}, ["a", "b"]),
    ],
)
def test_what_is_selected(scores, rubric, values, selected):
    decisions = decide(scores, CLIPS, config=config(**values), rubric=rubric)
    assert list(selected_clips(decisions, config(**values), rubric)["clip_id"]) == selected
    assert list(decisions["clip_id"])[-1] == "f"
    assert (decisions["selected"] == (decisions["why"] == "")).all()


def test_a_share_is_of_the_clips_that_have_a_score(scores, rubric):
    unscored = scores.assign(score=np.where(scores["score"] < 92, np.nan, scores["score"]))
    share = config(threshold=None, top_share=0.7)
    decisions = decide(unscored, CLIPS, config=share, rubric=rubric).set_index("clip_id")
    assert decisions["score"].notna().sum() == 3
    assert list(decisions.index[decisions["selected"]]) == ["b", "a"], "70 % of three, not of all six"
    assert decisions["why"]["e"] == "rank 3, not among the best 2"


def test_why_not(scores, rubric):
    decisions = decide(scores, CLIPS, config=config(per_video=1, top_share=0.8), rubric=rubric)
    why = decisions.set_index("clip_id")["why"]
    assert dict(why) == {
        "b": "",
        "a": "1 better clip is of its video",
        "e": "",
        "c": "1 better clip is of its video",
        "d": "scores 90, not above 90",
        "f": "unscored: cannot be read",
    }


def test_offsets_keep_a_criterion_within_its_range(scores, rubric):
    offsets = {"stability": 5, "clarity": 30}
    decisions = decide(scores, CLIPS, config=config(offsets=offsets), rubric=rubric)
    assert decisions["score"].max() == 100


def test_wrong_selections(scores, rubric):
    with pytest.raises(InputError, match=r"no clip scores above 99 \(the best score is 96\)"):
        high = config(threshold=99)
        selected_clips(decide(scores, CLIPS, config=high, rubric=rubric), high, rubric)
    with pytest.raises(InputError, match="threshold: 200 is outside the scores -10 to 103"):
        threshold_of(config(threshold=200), rubric)
    with pytest.raises(InputError, match=r"offsets\.beauty: the rubric face90 has no such criterion"):
        decide(scores, CLIPS, config=config(offsets={"beauty": 1}), rubric=rubric)
    strict = SelectionConfig(rubric="face90")
    with pytest.raises(InputError, match=r"1 of 6 clips \(17%\) remain without a score.*f: cannot be read"):
        decide(scores, CLIPS, config=strict, rubric=rubric)


def test_the_configurations(repository, tmp_path):
    paper = load_config(repository / "config.yaml").filter
    assert (paper.judge, paper.threshold) == ("qwen2.5-vl", "rubric")
    assert paper.qwen.repo == "Qwen/Qwen2.5-VL-7B-Instruct"
    demo = load_config(repository / "config.yaml", repository / "configs" / "demo.yaml").filter
    assert SECTIONS[paper.judge] == "qwen"
    assert demo.judge == "measured"
    assert demo.judge not in SECTIONS, "other judges' settings score nothing again"
    for text, message in {
        "filter: {openai: null, judge: openai}": "filter: judge: openai is chosen, but its section `openai`",
        "filter: {threshold: null}": "threshold and top_share are both null",
        "filter: {judge: me}": "filter.judge",
    }.items():
        (tmp_path / "wrong.yaml").write_text(text)
        with pytest.raises(InputError, match=message):
            load_config(repository / "config.yaml", tmp_path / "wrong.yaml")


def test_the_page_shows_and_sorts_offline(shard, rubric, tmp_path):
    folder, table = shard
    full = {name: c.points for name, c in rubric.criteria.items()}
    rows = [
        Verdict(i, full, ["noise"], {"clarity": "a <b> c"}, "all & good").row(rubric)
        for i in table["clip_id"]
    ]
    rows[3] = Verdict(rows[3]["clip_id"], None, problem="cannot be read").row(rubric)
    scores = pd.DataFrame(rows).assign(shard="0000", judge="openai", model="m", revision="r", settings="{}")
    clips = pd.DataFrame({"clip_id": table["clip_id"], "dataset": "mine", "video_id": "v", "person": "p"})
    decisions = decide(scores, clips, config=config(), rubric=rubric)
    output = tmp_path / "filtering.html"
    folders = {("mine", "0000"): folder / "hq"}
    write_filtering_page(scores, decisions, hq_dirs=folders, config=config(), rubric=rubric, output=output)
    page = output.read_text()
    assert "4 clips were scored on the rubric face90; 3 are selected (score above 90)" in page
    assert page.count("data:image/jpeg;base64,") == 4
    assert "a &lt;b&gt; c" in page
    assert "noise -2" in page
    assert "unscored: cannot be read" in page
    assert "http" not in page
