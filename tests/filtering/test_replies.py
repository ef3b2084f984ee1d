"""Reading replies of language models, well and badly formed."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vividface.filtering.replies import ReplyError, parse_reply
from vividface.filtering.rubric import load_rubric

RUBRIC = load_rubric("face90")
GOOD = """STEP 1 - Individual Scores:
clarity: 33/35 (lashes and pores are crisp)
stability: 19/20 (steady)
lighting: 18/20 (soft key light)
artifacts: 14/15 (none seen)
occlusion: 10/10 (free)

STEP 2 - Base Score:
Base Score = 33 + 19 + 18 + 14 + 10 = 94/100

STEP 3 - Bonuses and Penalties:
texture: +2 (pores throughout)
noise: -2 (slight grain in the shadows)
Total Adjustment: 0

STEP 4 - Final Results:
Final Score = 94 + 0 = 94
Quality Tier: premium
Critical Issues: slight grain
Motion Blur Check: none in eyes,
mouth or teeth
"""
POINTS = {"clarity": 33, "stability": 19, "lighting": 18, "artifacts": 14, "occlusion": 10}


def test_the_prompts_own_form():
    reply = parse_reply(GOOD, RUBRIC)
    assert reply.points == POINTS
    assert reply.applied == ["texture", "noise"]
    assert reply.reasons["clarity"] == "lashes and pores are crisp"
    assert reply.reasons["noise"] == "slight grain in the shadows"
    assert reply.reasons["Motion Blur Check"] == "none in eyes, mouth or teeth"
    assert reply.disagreements == []


PAPERS_FORM = """##### STEP 1 \u2013 Individual Scores:

**Clarity:** 33/35 (crisp)
- **Stability**: 19 / 20 (steady)
3. Lighting Quality: 18 out of 20, soft
* Artifacts\uff1a 14/15
`Occlusion` = 10/10 points (free)

##### STEP 2 \u2013 Base Score Calculation:
Base Score = 33 + 19 + 18 + 14 + 10 = **94/100**

**STEP 3 - Bonus/Penalty Adjustments:**
- Bonus: Texture (+2 points): pores
- Penalty - Motion Blur: \u22123 (mouth, frames 3-5)
- colour: not applied
- smoothing: 0
**Total Adjustment: +2 - 3 = -1 points**

STEP 4 - Final Results:
**Final Score = 94 (Base) + -1 (Adjustment) = 93/100**
**Quality Tier:** [Premium]
"""


def test_other_formatting():
    reply = parse_reply(PAPERS_FORM, RUBRIC)
    assert reply.points == POINTS
    assert reply.applied == ["texture", "motion_blur"]
    assert reply.disagreements == []
    assert reply.reasons["motion_blur"] == "mouth, frames 3-5"


def test_wrong_sums_are_done_again_and_recorded():
    text = GOOD.replace("= 94/100", "= 96/100").replace("94 + 0 = 94", "96 + 0 = 96")
    text = text.replace("Quality Tier: premium", "Quality Tier: high")
    reply = parse_reply(text, RUBRIC)
    assert RUBRIC.total(reply.points, reply.applied) == (94, 0, 94)
    assert reply.disagreements == [
        "base score: the reply says 96, its own scores make 94",
        "final score: the reply says 96, its own scores make 94",
        "tier: the reply says high, its own scores make premium",
    ]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("clarity: 33/35", "clarity: 36/35", "clarity: 36 is outside 0 to 35"),
        ("clarity: 33/35", "clarity: -3/35", "clarity: -3 is outside"),
        ("clarity: 33/35", "clarity: 33/40", "clarity: is scored out of 40, not out of 35"),
        ("clarity: 33/35", "clarity: 31-33/35", "is not one number"),
        ("clarity: 33/35", "clarity: 33,5/35", "is not one number"),
        ("clarity: 33/35", "clarity: X/35", "clarity: no score is given"),
        ("clarity: 33/35", "clarity: 94%", "is not one number"),
        ("clarity: 33/35", "clarity: 9" + "9" * 400 + "/35", "is outside"),
        ("stability: 19/20", "clarity: 30/35", "clarity is scored twice, 33 and 30"),
        ("noise: -2", "noise: -5", "noise: is worth -2 points, not -5"),
        ("noise: -2", "noise: visible", "noise: no points are given"),
        ("noise: -2", "great hair: +2", "'great hair: \\+2"),
        ("texture: +2 (pores throughout)\nnoise: -2 (slight grain in the shadows)\n", "", None),
        ("Total Adjustment: 0", "", "no line `total adjustment` with a number"),
        ("Final Score = 94 + 0 = 94", "", "no line `final score` with a number"),
        ("Final Score = 94 + 0 = 94", "Final Score = 94\nFinal Score = 92", "several lines"),
        ("Base Score = 33 + 19 + 18 + 14 + 10 = 94/100\n", "", "no line `base score`"),
    ],
)
def test_what_cannot_be_used_says_why(old, new, reason):
    assert old in GOOD
    text = GOOD.replace(old, new)
    if reason is None:
        assert parse_reply(text, RUBRIC).applied == []
        return
    with pytest.raises(ReplyError, match=reason):
        parse_reply(text, RUBRIC)


def test_an_adjustment_that_is_summed_but_not_named():
    text = re.sub(r"texture: .*\nnoise: .*\nTotal Adjustment: 0", "Total Adjustment: -3", GOOD)
    with pytest.raises(ReplyError, match=r"total adjustment is -3, but no bonus or penalty is named"):
        parse_reply(text, RUBRIC)


def test_the_prompt_itself_is_no_reply():
    with pytest.raises(ReplyError):
        parse_reply(RUBRIC.prompt(16), RUBRIC)


pieces = st.sampled_from(
    [
        *GOOD.splitlines(),
        *PAPERS_FORM.splitlines(),
        "clarity: ",
        "33",
        "/",
        "35",
        "-",
        "+2",
        "(",
        "\n",
        "score",
        "noise",
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.text(), st.lists(st.one_of(pieces, st.text(max_size=5))).map("\n".join)))
def test_any_text_is_read_or_refused(text):
    try:
        reply = parse_reply(text, RUBRIC)
    except ReplyError:
        return
    for name, value in reply.points.items():
        assert 0 <= value <= RUBRIC.criteria[name].points
        assert f"{value:g}" in text
    low, high = RUBRIC.bounds
    assert low <= RUBRIC.total(reply.points, reply.applied)[2] <= high


scores = st.fixed_dictionaries({n: st.integers(0, c.points) for n, c in RUBRIC.criteria.items()})
adjustments = st.sets(st.sampled_from(sorted(RUBRIC.adjustments)))
decorations = st.tuples(
    *(st.sampled_from(o) for o in (["", "- ", "* ", "1. ", "> "], ["", "**"], [":", " =", " :"]))
)


def render(points, applied, decoration, reason):
    bullet, bold, sign = decoration
    base = sum(points.values())
    change = sum(RUBRIC.adjustments[name].points for name in applied)
    lines = [
        f"{bullet}{bold}{n.title()}{bold}{sign} {v}/{RUBRIC.criteria[n].points} ({reason})"
        for n, v in points.items()
    ]
    lines.append(f"{bold}Base Score = {' + '.join(map(str, points.values()))} = {base}/100{bold}")
    lines += [f"{bullet}{n}{sign} {RUBRIC.adjustments[n].points:+d} ({reason})" for n in sorted(applied)] or [
        "none"
    ]
    lines += [f"Total Adjustment: {change:+d}", f"Final Score = {base} + {change} = {base + change}/100"]
    return lines


words = st.text("abcdefghij ,;'", max_size=20)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scores, adjustments, decorations, words)
def test_a_complete_reply_is_read_as_it_is(points, applied, decoration, reason):
    reply = parse_reply("\n".join(render(points, applied, decoration, reason)), RUBRIC)
    assert reply.points == points
    assert set(reply.applied) == applied
    assert reply.disagreements == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scores, adjustments, decorations, st.data())
def test_a_reply_that_lacks_a_score_or_a_sum_is_refused(points, applied, decoration, data):
    lines = render(points, applied, decoration, "")
    needed = [*range(len(points) + 1), len(lines) - 2, len(lines) - 1]
    del lines[data.draw(st.sampled_from(needed))]
    with pytest.raises(ReplyError):
        parse_reply("\n".join(lines), RUBRIC)
