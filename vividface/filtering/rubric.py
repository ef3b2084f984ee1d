"""The scoring rubric of supplement B as validated data, and the prompt that is rendered from it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

import jinja2
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vividface.config import describe_problems
from vividface.errors import InputError
from vividface.filtering.columns import AFTER_CRITERIA, BEFORE_CRITERIA

BELOW = "below"
FULL_SCORE = 100

_FOLDER = Path(__file__).parent / "rubrics"
# Names of columns of the scores' table, and of other parts of a reply.
_RESERVED = {*BEFORE_CRITERIA, *AFTER_CRITERIA}
_RESERVED |= {"base_score", "total_adjustment", "final_score", "quality_tier", "none"}
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Criterion(_Entry):
    """A criterion of the score.

    Attributes:
        title: title in the prompt.
        points: highest score.
        asks: question that the score answers.
        bands: descriptions by their lowest score; a band ends where the next begins.
    """

    title: str
    points: Annotated[int, Field(gt=0)]
    asks: str
    bands: dict[int, str]

    @model_validator(mode="after")
    def _covers(self) -> Criterion:
        lows = list(self.bands)
        if not lows or lows[0] != 0 or lows != sorted(lows) or lows[-1] > self.points:
            raise ValueError(f"bands: {lows} do not begin at 0 and rise to at most {self.points}")
        return self

    def ranges(self) -> list[tuple[int, int, str]]:
        """The bands as lowest score, highest score and description."""
        lows = list(self.bands)
        highs = [low - 1 for low in lows[1:]] + [self.points]
        return list(zip(lows, highs, self.bands.values(), strict=True))


class Adjustment(_Entry):
    """A bonus (positive points) or a penalty (negative points).

    Attributes:
        points: points that are added to the base score.
        when: condition under which they are.
    """

    points: int
    when: str

    @model_validator(mode="after")
    def _does_something(self) -> Adjustment:
        if not self.points:
            raise ValueError("points: 0 changes nothing")
        return self


class Rubric(_Entry):
    """Criteria that sum to 100, bonuses and penalties, tiers, and the score above which clips are kept.

    Attributes:
        name: name of the rubric.
        role: role that the judge is given.
        threshold: score that a kept clip exceeds.
        criteria: criteria by their names.
        critical_regions: regions of the face, and the demands on them.
        adjustments: bonuses and penalties by their names.
        tiers: lowest scores of the tiers by their names.
        remarks: titles of the remarks that end a reply, and their content.
        notes: notes on how to grade.
    """

    name: str
    role: str
    threshold: float
    criteria: Annotated[dict[Name, Criterion], Field(min_length=1)]
    critical_regions: dict[str, str] = {}
    adjustments: dict[Name, Adjustment] = {}
    tiers: dict[Name, float]
    remarks: dict[str, str] = {}
    notes: list[str] = []

    @model_validator(mode="after")
    def _consistent(self) -> Rubric:
        total = sum(criterion.points for criterion in self.criteria.values())
        if total != FULL_SCORE:
            raise ValueError(f"the criteria's points sum to {total}, not to {FULL_SCORE}")
        names = [*self.criteria, *self.adjustments]
        for name in names:
            if name in _RESERVED or names.count(name) > 1:
                raise ValueError(f"{name}: this name is taken; choose another")
        if BELOW in self.tiers:
            raise ValueError(f"tiers: {BELOW} is what scores below the lowest tier are called")
        low, high = self.bounds
        if not low <= self.threshold < high:
            raise ValueError(f"threshold: {self.threshold:g} is outside the scores {low} to {high}")
        return self

    @property
    def full_score(self) -> int:
        """The sum of the criteria's points."""
        return FULL_SCORE

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest possible final score."""
        points = [adjustment.points for adjustment in self.adjustments.values()]
        return sum(p for p in points if p < 0), FULL_SCORE + sum(p for p in points if p > 0)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything in the rubric that a score depends on, so not of the threshold."""
        return hashlib.sha256(self.model_dump_json(exclude={"threshold"}).encode()).hexdigest()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything in the rubric; the order of its entries counts, as it does in the prompt."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def total(self, points: Mapping[str, float], applied: Iterable[str]) -> tuple[float, float, float]:
        """Base score, adjustment and final score.

        Args:
            points: points of all criteria, each within its range.
            applied: names of the adjustments that apply.

        Raises:
            ValueError: a criterion is missing, unknown or out of its range.
        """
        if set(points) != set(self.criteria):
            raise ValueError(f"expected points for {sorted(self.criteria)}, got {sorted(points)}")
        for name, value in points.items():
            if not 0 <= value <= self.criteria[name].points:
                raise ValueError(f"{name}: {value} is outside 0..{self.criteria[name].points}")
        base = sum(points[name] for name in self.criteria)
        adjustment = sum(self.adjustments[name].points for name in applied)
        return base, adjustment, base + adjustment

    def tier(self, score: float) -> str:
        """The name of the highest tier that a score reaches, or `below`."""
        reached = {lowest: name for name, lowest in self.tiers.items() if score >= lowest}
        return reached[max(reached)] if reached else BELOW

    def prompt(self, num_frames: int) -> str:
        """The question to a language model about a video of which it is shown so many frames."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            # The prompt is plain text for a language model, not a page.
            autoescape=False,
        )
        text = environment.get_template("prompt.txt.j2").render(
            rubric=self, num_frames=num_frames, BELOW=BELOW
        )
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def load_rubric(name: str) -> Rubric:
    """Read a rubric.

    Args:
        name: name of a rubric in `vividface/filtering/rubrics`, or path of a YAML file.

    Raises:
        InputError: the rubric does not exist or is not valid.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else _FOLDER / f"{name}.yaml"
    try:
        return Rubric.model_validate(yaml.safe_load(path.read_text()))
    except OSError:
        names = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.yaml")))
        raise InputError(
            f"filter.rubric: there is no rubric {name!r}; known are {names}, or give the path of a YAML file"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as YAML: {reason}") from None
    except ValidationError as error:
        raise InputError(f"{path}: is not a valid rubric: {describe_problems(error)}") from None
