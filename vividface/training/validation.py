"""Which clips are not trained on: those of whole people, whom no clip that is trained on shows."""

from __future__ import annotations

import logging
from collections import Counter
from typing import NamedTuple

import pandas as pd

from vividface.files import seeded_hash

logger = logging.getLogger(__name__)

# The largest share of the clips, and of the people, that is held out while there is a choice.
_MAX_CLIPS, _MAX_PEOPLE = 1 / 4, 1 / 2


class HeldOut(NamedTuple):
    """Clips that are not trained on.

    Attributes:
        clip_ids: ids of all of them.
        measured: ids of those that validation measures.
    """

    clip_ids: set[str]
    measured: set[str]


def hold_out(clips: pd.DataFrame, num_clips: int, *, seed: int) -> HeldOut:
    """Hold out whole people, whose clips validation measures.

    The people, in an order that follows from the seed and their names, are held out until they have
    `num_clips` clips. Whoever would make the clips held out more than a quarter of all, or the people more
    than half, is passed over; if that leaves nobody, the person with the fewest clips is held out. Where one
    person is seen in all clips videos are held out in the same way, and where there is one video its clips.
    So the clips of a smaller `num_clips` are among those of a larger one.

    Args:
        clips: one row per training clip: `clip_id`, `video_id`, and `person`, in whose place the video stands
            where it is null or empty.
        num_clips: number of clips to measure, at most.
        seed: seed of the choice.

    Returns:
        the clips that are held out, and `num_clips` of them, or all if there are fewer.
    """
    person = clips["person"].where(clips["person"].fillna("") != "", clips["video_id"])
    units = {"people": person, "videos": clips["video_id"], "clips": clips["clip_id"]}
    unit = next((name for name, owners in units.items() if owners.nunique() > 1), None)
    if not num_clips or unit is None:
        return HeldOut(set(), set())
    counts = Counter(units[unit])
    chosen = _choose(counts, num_clips, seed=seed)
    held = set(clips["clip_id"][units[unit].isin(chosen)])
    measured = sorted(held, key=lambda clip: seeded_hash(seed, clip))[:num_clips]
    logger.info(
        "validation: %d of %d %s are held out, with %d of %d clips, of which %d are measured%s",
        *(len(chosen), len(counts), unit, len(held), len(clips), len(measured)),
        {
            "people": "",
            "videos": "; all clips are of one person, who is trained on",
            "clips": "; all clips are of one video: their neighbours are trained on, so that the measures "
            "are better than those of other videos would be",
        }[unit],
    )
    return HeldOut(held, set(measured))


def _choose(counts: Counter[str], num_clips: int, *, seed: int) -> list[str]:
    """The people, or whatever clips belong to, that are held out.

    Args:
        counts: number of clips of each, two people at least.
        num_clips: number of clips that are wanted.
        seed: seed of the order.
    """
    order = sorted(counts, key=lambda name: seeded_hash(seed, name))
    chosen: list[str] = []
    num_held = 0
    for name in order:
        if num_held >= num_clips or len(chosen) + 1 > _MAX_PEOPLE * len(counts):
            break
        if num_held + counts[name] <= _MAX_CLIPS * sum(counts.values()):
            chosen.append(name)
            num_held += counts[name]
    return chosen or [min(order, key=lambda name: counts[name])]
