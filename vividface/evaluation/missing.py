"""The measurements of a method that restored nothing: each is missing, with the reason."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from vividface.evaluation.measure import Measurement, Measuring, table_of
from vividface.evaluation.metrics import variant


def missing_measurements(
    clips: Iterable[str], method: str, *, measuring: Measuring, reason: str
) -> pd.DataFrame:
    """A row per clip and metric, without a value.

    Args:
        clips: ids of the clips.
        method: name of the method.
        measuring: the metrics, and the face backend that their names follow from.
        reason: reason why the method restored nothing.
    """
    network = measuring.faces_config.identity_network
    names = [variant(name, network) for name in measuring.metrics]
    return table_of(
        Measurement(clip_id=clip, method=method, metric=name, reason=reason)
        for clip in clips
        for name in names
    )
