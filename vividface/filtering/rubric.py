"""The scoring rubric of supplement B as validated data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vividface.config import describe_problems
from vividface.errors import InputError

_FOLDER = Path(__file__).parent / "rubrics"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Criterion(_Entry):
    """One of the five criteria: how many points it gives at most, and what it asks."""

    points: Annotated[int, Field(gt=0)]
    asks: str


class Adjustment(_Entry):
    """A bonus (positive points) or a penalty (negative points), and when it applies."""

    points: int
    when: str


class Rubric(_Entry):
    """Criteria that sum to 100, bonuses and penalties, and the tiers' lowest scores."""

    name: str
    criteria: dict[str, Criterion]
    adjustments: dict[str, Adjustment]
    tiers: dict[str, float]

    @model_validator(mode="after")
    def _sums(self) -> Rubric:
        total = sum(criterion.points for criterion in self.criteria.values())
        if total != 100:
            raise ValueError(f"the criteria's points sum to {total}, not to 100")
        return self

    def total(self, points: dict[str, float], applied: list[str]) -> tuple[float, float, float]:
        """Base score, adjustment and final score.

        Args:
            points: of every criterion, within its range.
            applied: names of the adjustments that apply.

        Raises:
            ValueError: a criterion is missing, unknown or out of its range.
        """
        if set(points) != set(self.criteria):
            raise ValueError(f"expected points for {sorted(self.criteria)}, got {sorted(points)}")
        for name, value in points.items():
            if not 0 <= value <= self.criteria[name].points:
                raise ValueError(f"{name}: {value} is outside 0..{self.criteria[name].points}")
        base = sum(points.values())
        adjustment = sum(self.adjustments[name].points for name in applied)
        return base, adjustment, base + adjustment

    def tier(self, score: float) -> str:
        """The name of the highest tier that a score reaches, or `below`."""
        reached = {lowest: name for name, lowest in self.tiers.items() if score >= lowest}
        return reached[max(reached)] if reached else "below"


def load_rubric(name: str) -> Rubric:
    """Read a rubric by its name in `vividface/filtering/rubrics`, or from a path to a YAML file.

    Raises:
        InputError: it is not there or not valid.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else _FOLDER / f"{name}.yaml"
    try:
        return Rubric.model_validate(yaml.safe_load(path.read_text()))
    except OSError:
        known = sorted(file.stem for file in _FOLDER.glob("*.yaml"))
        raise InputError(f"filter.rubric: there is no rubric {name!r}; known are {known}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: cannot be read as YAML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{path}: is not a valid rubric: {describe_problems(error)}") from None
