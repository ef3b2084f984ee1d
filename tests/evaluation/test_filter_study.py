"""The study of the filter."""

import numpy as np
import pandas as pd
import pytest

from vividface.config import validate_config
from vividface.errors import InputError
from vividface.evaluation.filter_study import clips_to_repeat, study, study_report, study_sets
from vividface.filtering.rubric import load_rubric

IDS = list("abcdefgh")
SCORES = [99, 97, 95, 93, 89, 85, 80, np.nan]
RUBRIC = load_rubric("face90")


@pytest.fixture
def decisions():
    table = pd.DataFrame({"clip_id": IDS, "shard": "0000", "judge": "openai", "score": SCORES})
    return table.assign(selected=table["score"] > 90)


@pytest.fixture
def quality():
    """NIQE, where lower is better, agrees with the judge but for one clip; MUSIQ is missing."""
    niqe = pd.DataFrame({"clip_id": IDS, "metric": "niqe", "value": [3, 4, 5, 9, 6, 7, 8, 1.0], "reason": ""})
    musiq = pd.DataFrame({"clip_id": IDS, "metric": "musiq", "value": np.nan, "reason": "no weights"})
    return pd.concat([niqe, musiq], ignore_index=True)


def repeated(spread):
    rows = [
        (c, s + d, r)
        for c, s in zip(IDS[:4], SCORES, strict=False)
        for r, d in enumerate((-spread, 0, spread))
    ]
    return pd.DataFrame(rows, columns=["clip_id", "score", "repeat"])


def test_sets_of_equal_size(decisions, quality):
    sets = study_sets(decisions, quality, metrics=["musiq", "niqe"], seed=1)
    assert list(sets["metric"]["clip_id"]) == ["a", "b", "c", "e"]
    assert set(sets["metric"]["judge"]) == {"niqe"}
    assert len(sets["random"]) == 4
    assert "h" not in set(sets["random"]["clip_id"]), "what has no score is in no set"
    again = study_sets(decisions, quality, metrics=["niqe"], seed=1)["random"]
    pd.testing.assert_frame_equal(sets["random"], again)
    assert any(
        not study_sets(decisions, quality, metrics=["niqe"], seed=s)["random"].equals(again)
        for s in range(2, 5)
    )
    with pytest.raises(InputError, match=r"none of musiq is measured on every clip .*musiq: no weights"):
        study_sets(decisions, quality, metrics=["musiq"], seed=1)


def test_the_same_clips_are_scored_again_whatever_their_shards():
    clips = pd.DataFrame({"clip_id": IDS, "shard": ["0000", "0001"] * 4})
    shards = [clips_to_repeat(clips, part, num_clips=3, seed=1) for _, part in clips.groupby("shard")]
    chosen = set(pd.concat(shards)["clip_id"])
    assert len(chosen) == 3
    assert chosen == set(clips_to_repeat(clips, clips, num_clips=3, seed=1)["clip_id"])
    fewer = clips[clips["clip_id"] != min(chosen)]
    assert chosen - {min(chosen)} < set(clips_to_repeat(fewer, fewer, num_clips=3, seed=1)["clip_id"])


def test_figures(decisions, quality, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("clip_id,keep\na,1\nb,1\nc,0\nd,1\ne,1\nf,0\ng,0\n")
    sets = study_sets(decisions, quality, metrics=["niqe"], seed=1)
    results = study(
        decisions,
        repeated=repeated(4),
        quality=quality,
        sets=sets,
        rubric=RUBRIC,
        threshold=90,
        labels=labels,
    )
    assert results["repeats"]["variance"] == pytest.approx(16)
    assert results["repeats"]["largest_range"] == 8
    assert results["repeats"]["undecided_share"] == 0.25, "d scores 89, 93 and 97"
    assert 0 < results["metrics"]["niqe"]["spearman"] < 1
    assert results["metrics"]["musiq"] == {"missing": "no weights"}
    assert results["sets"]["metric"]["shared_with_judge"] == 0.75
    assert results["labels"]["judge"]["precision_at_kept"] == 0.75
    assert results["labels"]["niqe"]["precision_at_kept"] == 0.75
    assert results["labels"]["random"]["precision_at_kept"] == pytest.approx(4 / 7)
    report = study_report(results)
    assert "| variance | 16.000 |" in report
    assert "| musiq | missing: no weights |" in report


def test_a_constant_ranking_has_no_correlation(decisions, quality):
    constant = quality.assign(value=1.0)
    results = study(decisions, repeated=repeated(0), quality=constant, sets={}, rubric=RUBRIC, threshold=90)
    assert results["metrics"]["niqe"]["spearman"] is None
    assert "not defined" in study_report(results)


def test_variants_train_on_the_sets(repository):
    from vividface.config import load_config

    config = load_config(repository / "config.yaml").model_dump(mode="json")
    assert config["variants"]["main"]["selected_by"] == "judge"
    config["variants"]["by_metric"] = {"title": "NIQE", "selected_by": "metric"}
    assert validate_config(config).variants["by_metric"].selected_by == "metric"
    config["filter"]["study"] = None
    with pytest.raises(InputError, match=r"variants.by_metric.selected_by: 'metric' needs .* filter.study"):
        validate_config(config)
