"""A benchmark restored with a published method or, where that cannot be, the reason: nothing stops for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from vividface.config import FacesConfig
from vividface.devices import choose_device
from vividface.downloads import Lock
from vividface.errors import InputError, MissingWeightsError
from vividface.evaluation.methods.description import PublishedMethod
from vividface.evaluation.methods.external import DegradedClip, Protocol, restore_with_published
from vividface.evaluation.methods.installation import Installation
from vividface.evaluation.runs import write_missing
from vividface.files import write_json
from vividface.video import probe, read_clip

logger = logging.getLogger(__name__)


def fetch_for_benchmarks(
    installation: Installation, output: Path, *, accepted: Collection[str], lock: Lock
) -> None:
    """Fetch a published method, and write what came, or why it cannot be run.

    Args:
        installation: the method.
        output: JSON file: `commit`, `packages`, checksums of `weights`, and `missing`, which is empty where
            nothing is.
        accepted: ids of the licences that the user accepts.
        lock: checksums and commits of what comes without one.
    """
    fetched = {"commit": installation.method.commit, "packages": [], "weights": {}, "missing": ""}
    try:
        fetched["weights"] = installation.fetch(accepted, lock)
        fetched["packages"] = installation.interpreter.packages
    except InputError as error:
        logger.warning("%s", error)
        fetched["missing"] = str(error)
    write_json(output, fetched)


def restore_benchmark(
    installation: Installation, fetched: Path, *, clips: pd.DataFrame, faces_config: FacesConfig, output: Path
) -> None:
    """Restore a benchmark's clips with a published method, or write why it cannot be run.

    Args:
        installation: the method.
        fetched: file of `fetch_for_benchmarks`.
        clips: one row per clip: `clip_id`, and the paths `lq` and `hq`; lq frames are resized to the size of
            hq.
        faces_config: face backend, of which methods of aligned faces alone take any notice.
        output: folder of the results, written atomically.

    Raises:
        InputError: the method's program fails.
    """
    try:
        aligned = None
        reason = json.loads(fetched.read_text())["missing"] or installation.missing_gpu
        if not reason:
            aligned = protocol_of(installation.method, faces_config)
    except MissingWeightsError as error:
        reason = str(error)
    if reason:
        logger.warning("%s", reason)
        write_missing(installation.name, reason, output)
        return
    rows = [_clip(row["clip_id"], row["lq"], row["hq"]) for row in clips.to_dict("records")]
    settings = faces_config.model_dump(mode="json") if aligned is not None else None
    restore_with_published(installation, rows, output, aligned=aligned, settings=settings)


def protocol_of(method: PublishedMethod, faces_config: FacesConfig) -> Protocol | None:
    """How a method of aligned faces is run on whole frames; None for one that takes these.

    Args:
        method: the method.
        faces_config: face backend, which finds the faces.

    Raises:
        MissingWeightsError: the backend's weights, or the background's, have not been fetched.
    """
    if method.input.protocol != "aligned":
        return None
    # It brings torch, which no other method needs here.
    from vividface.evaluation.methods.aligned import load_aligned_protocol

    return load_aligned_protocol(faces_config, choose_device("auto"))


def _clip(clip_id: str, lq: str, hq: str) -> DegradedClip:
    info = probe(hq)

    def read() -> np.ndarray:
        return read_clip(lq, size=(info.width, info.height))

    return DegradedClip(clip_id, read, Fraction(info.fps))
