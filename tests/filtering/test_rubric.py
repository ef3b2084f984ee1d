"""The rubric of supplement B, and rubrics of one's own."""

import pytest
import yaml

from vividface.errors import InputError
from vividface.filtering.load import load_judge
from vividface.filtering.replies import ReplyError, parse_reply
from vividface.filtering.rubric import load_rubric


def test_rubric_is_the_papers(rubric):
    assert [c.points for c in rubric.criteria.values()] == [35, 20, 20, 15, 10]
    assert sorted(a.points for a in rubric.adjustments.values()) == [-3, -3, -2, -2, 1, 2]
    assert rubric.tiers == {"premium": 85, "high": 80, "standard": 75}
    assert (rubric.threshold, rubric.bounds) == (90, (-10, 103))
    scores = {90: "premium", 85: "premium", 82: "high", 75: "standard", 74.9: "below"}
    assert {score: rubric.tier(score) for score in scores} == scores
    assert [r[:2] for r in rubric.criteria["clarity"].ranges()] == [
        (0, 12),
        (13, 21),
        (22, 28),
        (29, 32),
        (33, 35),
    ]


def test_arithmetic_is_checked(rubric):
    points = {"clarity": 30.0, "stability": 18.0, "lighting": 19.0, "artifacts": 14.0, "occlusion": 10.0}
    assert rubric.total(points, ["texture", "noise"]) == (91, 0, 91)
    with pytest.raises(ValueError, match="clarity: 36"):
        rubric.total({**points, "clarity": 36.0}, [])
    with pytest.raises(ValueError, match="expected points for"):
        rubric.total({"clarity": 30.0}, [])


@pytest.fixture
def short(repository):
    """The rubric that docs/filtering.md shows."""
    text = (repository / "docs" / "filtering.md").read_text()
    return text.partition("```yaml\nname: ")[2].partition("```")[0]


def test_a_rubric_of_ones_own(short, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: {short}")
    mine = load_rubric(str(path))
    assert "sharpness: X/60 (reason)" in mine.prompt(8)
    scores = "sharpness: 55/60\nsteadiness: 35/40\nBase Score = 90"
    text = f"{scores}\ntalking: -5\nTotal Adjustment: -5\nFinal Score = 85"
    reply = parse_reply(text, mine)
    assert mine.total(reply.points, reply.applied) == (90, -5, 85)
    with pytest.raises(ReplyError, match="sharpness: 61 is outside 0 to 60"):
        parse_reply(text.replace("55/60", "61/60"), mine)
    edited = yaml.safe_load(path.read_text())
    edited["criteria"]["sharpness"]["points"], edited["criteria"]["steadiness"]["points"] = 65, 35
    path.write_text(yaml.safe_dump(edited))
    assert "sharpness: X/65 (reason)" in load_rubric(str(path)).prompt(8)
    from vividface.config.filtering import FilterConfig

    with pytest.raises(InputError, match=r"`measured` measures clarity, .* but the rubric"):
        load_judge(FilterConfig(judge="measured", rubric=str(path)), mine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"criteria": {"clarity": {"points": 50}}}, "the criteria's points sum to 115, not to 100"),
        ({"criteria": {"clarity": {"bands": {5: "x"}}}}, "do not begin at 0"),
        ({"adjustments": {"clarity": {"points": 1, "when": "x"}}}, "clarity: this name is taken"),
        ({"threshold": 103}, "threshold: 103 is outside the scores -10 to 103"),
        ({"colour": 1}, "colour: unknown key"),
    ],
)
def test_wrong_rubrics(rubric, tmp_path, change, message):
    from vividface.config import merge

    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(merge(rubric.model_dump(), change), sort_keys=False))
    with pytest.raises(InputError, match=message):
        load_rubric(str(path))


def test_no_rubric(tmp_path):
    with pytest.raises(InputError, match="there is no rubric 'nobody'; known are face90"):
        load_rubric("nobody")
    path = tmp_path / "mine.yaml"
    path.write_text("a: [")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        load_rubric(str(path))
