"""Reading a language model's reply: tolerant of its formatting, strict about its content.

A reply counts when each criterion has one score within its range, the adjustments are the rubric's, and no
step is missing. Its sums are done again; where its own differ, ours hold and the difference is recorded. A
reply that does not count raises, with a reason that the model can be told: a score is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vividface.filtering.rubric import Rubric

_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?"
_BULLET = re.compile(r"^(?:[^\w+\[(]|[0-9]{1,2}[.)]\s)+")
_SAME = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u2014": "-", "\uff1a": ":", "\u00a0": " ", "\uff0f": "/"}
)
_MARKUP = re.compile(r"[*`#|\\]|\$|(?<!\w)_+|_+(?!\w)")
_NOT_APPLIED = re.compile(r"(?:no|not|none|n/a|absent|false)\b", re.IGNORECASE)
_SIGNED = re.compile(rf"(?<![\w.]){_NUMBER}")
# Text that may not follow a score: it would be another number than the one that was read.
_CONTINUED = re.compile(r"\s*(?:[.,/%]?[0-9]|[/%]|(?:-|~|to|or)\s*[0-9])")
_TOLERANCE = 0.01


class ReplyError(ValueError):
    """A reply cannot be used; the message says why, in words for the model that gave it."""


@dataclass(frozen=True)
class Reply:
    """The content of a reply.

    Attributes:
        points: points of all criteria.
        applied: names of the adjustments that apply.
        reasons: reasons by the name of a criterion or adjustment, or the title of a remark.
        disagreements: differences between the reply's own sums or tier and ours.
    """

    points: dict[str, float]
    applied: list[str]
    reasons: dict[str, str]
    disagreements: list[str]


def parse_reply(text: str, rubric: Rubric) -> Reply:
    """Read a reply to `rubric.prompt`.

    Args:
        text: text of the reply.
        rubric: rubric of the prompt.

    Raises:
        ReplyError: it cannot be used.
    """
    lines = [line for line in map(_clean, text.splitlines()) if line]
    base_at, base = _one(lines, "base score")
    total_at, total = _one(lines, "total adjustments?")
    final_at, final = _one(lines, "final score")
    if not base_at < total_at < final_at:
        raise ReplyError("the steps are not in their order: scores, base score, adjustments, final score")
    points, reasons = _points(lines[:base_at], rubric)
    applied, why = _adjustments(lines[base_at + 1 : total_at], rubric)
    if total and not applied:
        raise ReplyError(f"the total adjustment is {total:+g}, but no bonus or penalty is named")
    sums = rubric.total(points, applied)
    named = zip(("base score", "total adjustment", "final score"), (base, total, final), sums, strict=True)
    disagreements = [
        f"{name}: the reply says {said:g}, its own scores make {ours:g}"
        for name, said, ours in named
        if abs(said - ours) > _TOLERANCE
    ]
    remarks = _remarks(lines[final_at + 1 :], ["Quality Tier", *rubric.remarks])
    said_tier = _plain(remarks.pop("Quality Tier", ""))
    tier = rubric.tier(sums[2])
    if said_tier and not said_tier.startswith(_plain(tier)):
        disagreements.append(f"tier: the reply says {said_tier[:40]}, its own scores make {tier}")
    return Reply(points, applied, reasons | why | remarks, disagreements)


def _clean(line: str) -> str:
    """A line without markup, bullets and numbering."""
    return _BULLET.sub("", _MARKUP.sub("", line.translate(_SAME)).strip()).strip()


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text).split()).lower()


def _one(lines: list[str], name: str) -> tuple[int, float]:
    """Index and value of the one line of a sum: the first number behind its last sign of equality."""
    sums = []
    for index, line in enumerate(lines):
        if re.match(rf"{name}\b", line, re.IGNORECASE) and re.search(r"[=:]", line):
            result = re.match(rf"\s*\(?\s*({_NUMBER})", re.split(r"[=:]", line)[-1])
            if result:
                sums.append((index, float(result[1])))
    title = name.removesuffix("s?")
    if not sums:
        raise ReplyError(f"there is no line `{title}` with a number; the reply may be cut off")
    if len({value for _, value in sums}) > 1:
        raise ReplyError(f"there are several lines `{title}` with different numbers")
    return sums[0]


def _points(lines: Iterable[str], rubric: Rubric) -> tuple[dict[str, float], dict[str, str]]:
    """The scores and the reasons of all criteria."""
    points: dict[str, float] = {}
    reasons: dict[str, str] = {}
    starts = {name: _starts_with(name, criterion.title) for name, criterion in rubric.criteria.items()}
    for line in lines:
        for name, start in starts.items():
            rest = start(line)
            if rest is None:
                continue
            match = re.match(
                rf"(?:\s*score)?\s*(?:\([^()]*\))?\s*(?:[:=]|\s-\s)\s*({_NUMBER})"
                rf"(?:\s*(?:/|out of)\s*({_NUMBER}))?(.*)$",
                rest,
                re.IGNORECASE,
            )
            if match is None:
                continue
            value = _score(name, match, rubric)
            if points.setdefault(name, value) != value:
                raise ReplyError(f"{name} is scored twice, {points[name]:g} and {value:g}")
            reasons.setdefault(name, _reason(match[3]))
    missing = [name for name in rubric.criteria if name not in points]
    if missing:
        raise ReplyError(f"{' and '.join(missing)}: no score is given before the base score")
    return {name: points[name] for name in rubric.criteria}, reasons


def _score(name: str, match: re.Match[str], rubric: Rubric) -> float:
    most, value = rubric.criteria[name].points, float(match[1])
    if _CONTINUED.match(match[3]):
        raise ReplyError(f"{name}: {(match[1] + match[3])[:40].strip()!r} is not one number")
    if match[2] is not None and float(match[2]) != most:
        raise ReplyError(f"{name}: is scored out of {match[2]}, not out of {most}")
    if not 0 <= value <= most:
        raise ReplyError(f"{name}: {match[1][:20]} is outside 0 to {most}")
    return value


def _adjustments(lines: Iterable[str], rubric: Rubric) -> tuple[list[str], dict[str, str]]:
    """The names of the adjustments that apply, in the rubric's order, and their reasons."""
    reasons: dict[str, str] = {}
    starts = {name: _starts_with(name) for name in rubric.adjustments}
    for line in lines:
        stripped = re.sub(r"^(?:bonus|penalty)\b\W*", "", line, flags=re.IGNORECASE)
        matches = [(name, rest) for name, start in starts.items() if (rest := start(stripped)) is not None]
        if not matches:
            if _SIGNED.search(line) and re.search(r"(?<![\w.])[+-][0-9]", line):
                raise ReplyError(f"{line[:60]!r} names no bonus or penalty of the rubric")
            continue
        name, rest = matches[0]
        rest = rest.lstrip(" :=")
        match = re.match(rf"\(?\s*({_NUMBER})\s*(?:points?|pts?)?\s*\)?(.*)$", rest, re.IGNORECASE)
        if match is None:
            if _NOT_APPLIED.match(rest.lstrip("(")):
                continue
            raise ReplyError(f"{name}: no points are given for it in step 3")
        if _CONTINUED.match(match[2]):
            raise ReplyError(f"{name}: {rest[:40]!r} is not one number")
        value, worth = float(match[1]), rubric.adjustments[name].points
        if value == 0:
            continue
        if value != worth:
            raise ReplyError(f"{name}: is worth {worth:+d} points, not {match[1][:20]}")
        reasons.setdefault(name, _reason(match[2]))
    return [name for name in rubric.adjustments if name in reasons], reasons


def _remarks(lines: Iterable[str], titles: list[str]) -> dict[str, str]:
    """The remarks that end the reply, by their titles; a remark may have several lines."""
    remarks: dict[str, str] = {}
    current = None
    for line in lines:
        for title in titles:
            rest = _starts_with(title)(line)
            if rest is not None:
                current, line = title, rest.lstrip(" :")
        if current is not None:
            remarks[current] = f"{remarks.get(current, '')} {line}".strip()
    return remarks


def _starts_with(*names: str) -> Callable[[str], str | None]:
    """A function that returns what follows one of the names at a line's beginning, or None."""
    words = sorted((re.findall(r"\w+", name.replace("_", " ")) for name in names), key=len, reverse=True)
    alternatives = "|".join(r"[\W_]{1,3}".join(map(re.escape, parts)) for parts in words)
    pattern = re.compile(rf"(?:{alternatives})(?![A-Za-z0-9_])(.*)$", re.IGNORECASE | re.DOTALL)

    def rest_of(line: str) -> str | None:
        match = pattern.match(line)
        return match[1] if match else None

    return rest_of


def _reason(text: str) -> str:
    """The text behind a score, without its parentheses."""
    text = re.sub(r"^\s*(?:points?|pts?)\b", "", text, flags=re.IGNORECASE).strip(" :-,.")
    inner = re.fullmatch(r"\((.*)\)\.?", text, re.DOTALL)
    return (inner[1] if inner else text).strip()
