"""Fitting the selection to a person's judgements."""

import numpy as np
import pandas as pd
import pytest

from vividface.cli.main import main
from vividface.errors import InputError
from vividface.filtering.calibration import calibrate, read_labels

IDS = [f"c{i}" for i in range(8)]
FINALS = [70, 75, 80, 84, 86, 88, 92, 96]


@pytest.fixture
def scores(rubric):
    table = pd.DataFrame(
        {"clip_id": IDS, "judge": "measured", "adjustment": 0.0, "score": np.float64(FINALS)}
    )
    for name, criterion in rubric.criteria.items():
        table[name] = np.float64(criterion.points)
    table["clarity"] -= 100 - table["score"]
    return table


def write(path, text):
    path.write_text(text)
    return path


def test_a_threshold_that_agrees_with_the_labels(scores, rubric, tmp_path):
    keep = [0, 0, 0, 1, 1, 1, 1, 1]
    rows = "\n".join(f"{clip},{k}" for clip, k in zip(IDS, keep, strict=True))
    labels = read_labels(write(tmp_path / "l.csv", f"clip_id,keep\n{rows}\n"), rubric)
    proposal = calibrate(scores, labels, rubric=rubric, threshold=90)
    assert proposal.threshold == 82
    assert proposal.offsets == {}
    assert proposal.agreement["before"]["recall"] == pytest.approx(2 / 5)
    assert proposal.agreement["after"]["f1"] == 1
    assert list(proposal.table["kept_after"]) == [bool(k) for k in keep]


def test_offsets_of_the_criteria_that_were_labelled(scores, rubric, tmp_path):
    clarity = scores["clarity"] - 2
    rows = "\n".join(f"{c},{s - 2},{k}" for c, s, k in zip(IDS, FINALS, clarity, strict=True))
    labels = read_labels(write(tmp_path / "l.csv", f"clip_id,score,clarity\n{rows}\n"), rubric)
    proposal = calibrate(scores, labels, rubric=rubric, threshold=90)
    assert proposal.offsets == {"clarity": -2}
    assert proposal.agreement["after"]["spearman"] == pytest.approx(1)
    assert list(proposal.table["after"]) == [s - 2 for s in FINALS]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,what\na,1\n", "needs the column clip_id, and keep or score; it has clip_id, what"),
        ("clip_id,keep\na,1\na,0\n", "a is there twice"),
        ("clip_id,keep\na,maybe\n", "keep is 'maybe'; write 1 or 0"),
        ("clip_id,score\na,high\n", "the column score holds something that is no number"),
        ("clip_id,keep,clarity\na,1,36\n", "a: clarity is not between 0 and 35"),
        ("", "cannot be read as CSV"),
    ],
)
def test_wrong_labels(rubric, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_labels(write(tmp_path / "l.csv", text), rubric)


def test_too_few_labels(scores, rubric, tmp_path):
    labels = read_labels(write(tmp_path / "l.csv", "clip_id,keep\nc1,1\nc2,0\nother,0\n"), rubric)
    with pytest.raises(InputError, match="2 of 3 labelled clips have a score, but at least 5"):
        calibrate(scores, labels, rubric=rubric, threshold=90)


def test_the_command(scores, tmp_path, capsys):
    scores.to_parquet(tmp_path / "s.parquet")
    rows = "\n".join(f"{clip},{int(s > 85)}" for clip, s in zip(IDS, FINALS, strict=True))
    labels = write(tmp_path / "l.csv", f"clip_id,keep\n{rows}\n")
    output = tmp_path / "report.md"
    options = ["--scores", str(tmp_path / "s.parquet"), "-o", str(output)]
    assert main(["rubric", "calibrate", str(labels), *options]) == 0
    assert "threshold: 85 # was 90" in capsys.readouterr().out
    assert "| c4 | keep | 86 | 86 | kept |" in output.read_text()
    assert main(["rubric", "calibrate", str(labels), "--scores", str(tmp_path / "none")]) == 1
    assert "run the rule score_clips" in capsys.readouterr().err
    assert main(["rubric", "prompt"]) == 0
    assert "clarity: X/35 (reason)" in capsys.readouterr().out
