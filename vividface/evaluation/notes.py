"""What sets the measured rows of a table apart from the paper's, as sentences below it."""

from __future__ import annotations

from collections.abc import Sequence

from vividface.config import Config
from vividface.config.datasets import DatasetConfig
from vividface.evaluation.paper import PaperTable


def differences(paper: PaperTable, benchmarks: Sequence[str], config: Config) -> list[str]:
    """How a configuration differs from the paper's experiment, as far as a table shows it.

    Args:
        paper: the table.
        benchmarks: names of the benchmarks of its measured rows.
        config: the experiment; of the datasets those keys alone that the tables print.

    Returns:
        sentences, each of them true for this configuration.
    """
    datasets = [config.datasets[name] for name in benchmarks]
    notes = [
        *_of(
            [dataset for dataset in datasets if dataset.crop],
            "cropped to the face and resized; clips without a clear face are left out",
        ),
        *_of(
            [dataset for dataset in datasets if dataset.num_frames != "whole"],
            "in clips of one length, not in whole videos",
        ),
        *_of(
            [dataset for dataset in datasets if dataset.degrade],
            "degraded here, with draws of its own: the paper's degraded videos are not published",
        ),
        *_of(
            [dataset for dataset in datasets if dataset.lq_source is not None],
            "degraded by its publisher; the paper's rows are of other degraded videos",
        ),
    ]
    trained = [config.variants[method] for method in paper.measured if method in config.variants]
    if any(variant.selected_set for variant in trained):
        candidates = [data.title for data in config.by_role("train").values() if data.candidates]
        pool = " and ".join(["the coarse set", *candidates])
        notes.append(
            f"The paper does not name the pool that MLLM-Face90 is selected from; here it is {pool}."
        )
    if trained:
        notes.append(
            "The paper does not say which range the pixels of Eq. 8 have, on which lambda's weight depends; "
            "here the squared error is a mean over values in [-1, 1]."
        )
    return notes


def _of(datasets: Sequence[DatasetConfig], difference: str) -> list[str]:
    """A sentence about some benchmarks, unless there are none."""
    return [f"{', '.join(dataset.title for dataset in datasets)}: {difference}."] if datasets else []
