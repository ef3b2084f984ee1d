"""The judge `signals`: the five criteria of supplement B measured from pixels and landmarks.

It needs no model, so it stands in for the paper's Qwen2.5-VL where none can run. Every measure becomes a
share of a criterion's points through a monotone piecewise-linear function, whose anchors are below.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from vividface.errors import InputError
from vividface.filtering.judge import JudgedClip, Verdict
from vividface.filtering.measures import Signals, measure
from vividface.filtering.rubric import Rubric
from vividface.video import read_clip, read_masks

# Raised whenever a measure changes, so that nothing that was scored before is taken for the same.
VERSION = "4"

# Measure -> share of a criterion's points, each a list of (value, share) with increasing values.
ANCHORS: dict[str, list[tuple[float, float]]] = {
    "blur": [
        (0.018, 1.0),
        (0.022, 0.90),
        (0.026, 0.70),
        (0.030, 0.50),
        (0.036, 0.30),
        (0.050, 0.10),
        (0.1, 0.0),
    ],
    "source_scale": [(0.25, 0.3), (0.5, 0.6), (0.9, 0.88), (1.2, 1.0)],
    "dispersion": [(0.008, 1.0), (0.012, 0.85), (0.025, 0.5), (0.05, 0.2)],
    "regional": [(0.05, 0.3), (0.25, 0.8), (0.45, 1.0)],
    "shake": [(0.10, 1.0), (0.25, 0.85), (0.50, 0.6), (1.0, 0.3)],
    "highlight": [(15.0, 0.0), (40.0, 0.35), (80.0, 0.75), (120.0, 1.0)],
    "crushed": [(0.01, 1.0), (0.05, 0.85), (0.20, 0.4), (0.50, 0.1)],
    "burnt": [(0.02, 1.0), (0.06, 0.85), (0.15, 0.5), (0.30, 0.2)],
    "imbalance": [(0.12, 1.0), (0.30, 0.85), (0.60, 0.6), (1.20, 0.3)],
    "noise": [(1.0, 1.0), (2.5, 0.8), (5.0, 0.45), (10.0, 0.1)],
    "blockiness": [(0.03, 1.0), (0.10, 0.8), (0.30, 0.4), (0.80, 0.1)],
    "visible": [(0.5, 0.2), (0.8, 0.6), (0.95, 0.9), (1.0, 1.0)],
    "covered": [(0.10, 1.0), (0.20, 0.7), (0.35, 0.4), (0.60, 0.0)],
}
_CRITERIA = ("clarity", "stability", "lighting", "artifacts", "occlusion")


class SignalsJudge:
    """Measures clips by the criteria of the rubric `face90`, and by those of its adjustments that are there.

    Args:
        rubric: gives the criteria's points.

    Raises:
        InputError: the rubric asks for other criteria.
    """

    needs_faces = True

    def __init__(self, rubric: Rubric) -> None:
        if set(rubric.criteria) != set(_CRITERIA):
            raise InputError(
                f"filter.judge: `signals` measures {', '.join(_CRITERIA)}, but the rubric {rubric.name} asks "
                f"for {', '.join(rubric.criteria)}; choose another judge for it"
            )
        self._rubric = rubric
        anchors = hashlib.sha256(json.dumps(ANCHORS).encode()).hexdigest()
        self.identity = {
            "judge": "signals",
            "model": "",
            "revision": VERSION,
            "settings": json.dumps({"anchors": anchors}),
            "prompt": "",
        }

    def score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        """See `Judge`."""
        for clip in tqdm(clips, desc="judge", unit="clip"):
            try:
                frames, masks = read_clip(clip.video), read_masks(clip.masks)
            except InputError as error:
                yield Verdict(clip.clip_id, None, problem=str(error), attempts=0)
                continue
            block = 8 * frames.shape[1] / clip.window_size
            signals = measure(frames, masks, clip.landmarks, clip.found, block)
            points, applied = judge_signals(signals, self._rubric)
            measures = {name: round(value, 4) for name, value in vars(signals).items()}
            yield Verdict(clip.clip_id, points, applied, {"measures": measures})


def judge_signals(signals: Signals, rubric: Rubric) -> tuple[dict[str, float], list[str]]:
    """Points of every criterion, rounded to halves, and the adjustments that apply.

    What is dark or covered has no detail to learn from, and what is blurred shows neither noise nor blocks:
    such faults lower the other criteria too, so that more of a fault is never repaid elsewhere.
    """
    share = {name: _share(name, getattr(signals, name)) for name in ANCHORS}
    seen = min(share["visible"], share["covered"])
    exposed = min(share["highlight"], share["crushed"])
    open_share = 1 - signals.covered
    sharp = min(share["blur"], share["source_scale"])
    clarity = min(sharp, _cap(exposed), _cap(share["noise"])) * open_share
    shares = {
        "clarity": clarity,
        "stability": min(share["dispersion"], share["regional"], share["shake"], _cap(clarity)) * open_share,
        "lighting": min(exposed, share["burnt"], share["imbalance"], _cap(seen)),
        "artifacts": min(share["noise"], share["blockiness"], _cap(clarity)),
        "occlusion": seen,
    }
    points = {name: round(2 * part * rubric.criteria[name].points) / 2 for name, part in shares.items()}
    applies = {
        "texture": sharp >= 1 and min(seen, exposed, share["noise"]) > 0.95,
        "colour": min(shares["lighting"], seen, sharp) > 0.95 and 25 < signals.skin_hue < 75,
        "motion_blur": signals.regional < 0.2,
        "noise": signals.noise > 2.5,
        "smoothing": signals.skin_texture < 0.25,
        "inconsistent": signals.dispersion > 0.025,
    }
    return points, [name for name in rubric.adjustments if applies.get(name, False)]


def _share(name: str, value: float) -> float:
    values, shares = zip(*ANCHORS[name], strict=True)
    return float(np.interp(value, values, shares))


def _cap(share: float) -> float:
    """What another criterion can reach at most: all while this one has four fifths, then less and less."""
    return float(np.interp(share, [0.0, 0.8], [0.4, 1.0]))
