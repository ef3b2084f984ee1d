"""Licences that a user has to accept before what is under them is fetched or used."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict, Field


class Licence(BaseModel):
    """A licence of code or weights of others.

    Attributes:
        id: short name, by which a user accepts it.
        title: its name, and what it covers or forbids.
        page: address of its text or, where none is stated, of what is under it.
        accept: whether a user has to accept it: it is no open-source licence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    title: str
    page: str
    accept: bool = True


S_LAB = Licence(
    id="s-lab-1.0",
    title="S-Lab License 1.0, not for commercial use",
    page="https://github.com/sczhou/CodeFormer/blob/master/LICENSE",
)


def refusals(name: str, licences: Collection[Licence], accepted: Collection[str]) -> list[str]:
    """A sentence for each licence that has to be accepted and is not.

    Args:
        name: name of what is under them.
        licences: the licences.
        accepted: ids of the licences that the user accepts.
    """
    return [
        f"{name}: its licence {licence.id} ({licence.title}) is not accepted; read {licence.page} and, if "
        f"you accept it, add {licence.id} to evaluation.accept_licences (or --accept {licence.id})"
        for licence in licences
        if licence.accept and licence.id not in accepted
    ]
