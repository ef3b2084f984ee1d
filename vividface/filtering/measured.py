"""The judge `measured`: the five criteria of supplement B measured from pixels and landmarks.

It needs no model, so it stands in for the paper's Qwen2.5-VL where none can run. Each measure becomes a share
of a criterion's points through a monotone piecewise-linear function, whose anchors are below.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from vividface.errors import InputError
from vividface.filtering.base import JudgedClip, JudgeDescription, Verdict
from vividface.filtering.rubric import Rubric
from vividface.filtering.visual_quality import VisualQuality, assess
from vividface.video import read_clip, read_masks

# Raised whenever a measure changes, so that earlier scores are not taken for the same.
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


class MeasuredJudge:
    """Measures clips by the criteria of the rubric `face90`, and by those of its adjustments that it has.

    Args:
        rubric: rubric with the points of the criteria.

    Raises:
        InputError: the rubric asks for other criteria.
    """

    needs_faces = True

    def __init__(self, rubric: Rubric) -> None:
        if set(rubric.criteria) != set(_CRITERIA):
            raise InputError(
                f"filter.judge: `measured` measures {', '.join(_CRITERIA)}, but the rubric {rubric.name} "
                f"asks for {', '.join(rubric.criteria)}; choose another judge for it"
            )
        self._rubric = rubric
        anchors = hashlib.sha256(json.dumps(ANCHORS).encode()).hexdigest()
        self.description = JudgeDescription(
            judge="measured", revision=VERSION, settings=json.dumps({"anchors": anchors})
        )

    def score(self, clips: Sequence[JudgedClip]) -> Iterator[Verdict]:
        """See `Judge`."""
        for clip in tqdm(clips, desc="judge", unit="clip"):
            try:
                frames, masks = read_clip(clip.video), read_masks(clip.masks)
            except InputError as error:
                yield Verdict(clip.clip_id, None, problem=str(error), attempts=0)
                continue
            quality = assess(
                frames,
                masks,
                landmarks=clip.landmarks,
                found=clip.found,
                block=8 * frames.shape[1] / clip.crop_size,
            )
            points, applied = judge_quality(quality, self._rubric)
            measures = {name: round(value, 4) for name, value in vars(quality).items()}
            yield Verdict(clip.clip_id, points, applied, {"measures": measures})


def judge_quality(quality: VisualQuality, rubric: Rubric) -> tuple[dict[str, float], list[str]]:
    """Points of all criteria, rounded to halves, and the adjustments that apply.

    Dark or covered faces have no detail to learn from, and blurred ones show neither noise nor blocks: such
    faults lower the other criteria too, so that more of a fault is never repaid elsewhere.
    """
    share = {name: _share(name, getattr(quality, name)) for name in ANCHORS}
    seen = min(share["visible"], share["covered"])
    exposed = min(share["highlight"], share["crushed"])
    open_share = 1 - quality.covered
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
        "colour": min(shares["lighting"], seen, sharp) > 0.95 and 25 < quality.skin_hue < 75,
        "motion_blur": quality.regional < 0.2,
        "noise": quality.noise > 2.5,
        "smoothing": quality.skin_texture < 0.25,
        "inconsistent": quality.dispersion > 0.025,
    }
    return points, [name for name in rubric.adjustments if applies.get(name)]


def _share(name: str, value: float) -> float:
    values, shares = zip(*ANCHORS[name], strict=True)
    return float(np.interp(value, values, shares))


def _cap(share: float) -> float:
    """The most that another criterion can reach: all while this one has four fifths, then less and less."""
    return float(np.interp(share, [0.0, 0.8], [0.4, 1.0]))
