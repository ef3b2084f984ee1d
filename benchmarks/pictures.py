"""The README's pictures: faces of packages' videos degraded as in the paper, and what nano makes of them.

python benchmarks/pictures.py --output docs/before_after.jpg
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from vividface import enhance_video, load_config
from vividface.config import Config
from vividface.config.datasets import PackageMember, PackageSource
from vividface.data.degradation import DegradationParameters, degrade_clip, isotropic_parameters
from vividface.data.extraction import extract_video
from vividface.data.showcase import write_watchable
from vividface.restoration.drawing import side_by_side
from vividface.video import read_clip
from vividface.weights.packages import fetch_member

# Side of the faces' crops, px; blur, px, down-sampling, noise and rate factor of each picture; its frame.
_SIZE = 256
_PICTURES = (
    ("held_out", 0, 1.0, 2.0, 4.0, 23, 40),
    ("held_out", 1, 2.5, 3.0, 8.0, 25, 40),
    ("demo_train", 4, 1.5, 1.5, 6.0, 24, 40),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    output: Path = parser.parse_args().output
    root = Path(__file__).parents[1]
    config = load_config(root / "config.yaml", root / "configs/demo.yaml")
    rows = []
    for dataset, number, sigma, scale, noise, crf, frame in _PICTURES:
        source = config.datasets[dataset].source
        assert isinstance(source, PackageSource)
        parameters = isotropic_parameters(
            seed=number, sigma=sigma, scale=scale, noise=noise, crf=crf, interpolation="cubic"
        )
        rows.append(_row(source.members[number], config, parameters=parameters, frame=frame))
    cv2.imwrite(str(output), np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def _row(
    member: PackageMember, config: Config, *, parameters: DegradationParameters, frame: int
) -> np.ndarray:
    """One frame before and after, (256, 512, 3) uint8."""
    clips = config.clips.model_copy(update={"size": _SIZE})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = folder / Path(member.member).name
        fetch_member(member, video)
        extract_video(video, folder / "hq.mp4", clips_config=clips, faces_config=config.faces)
        degrade_clip(folder / "hq.mp4", folder / "lq.mkv", parameters=parameters, config=config.degradation)
        write_watchable(folder / "lq.mkv", folder / "hq.mp4", folder / "lq.mp4")
        enhance_video(folder / "lq.mp4", folder / "new.mp4", model="nano")
        before, after = (read_clip(folder / name, frame, frame + 1)[0] for name in ("lq.mp4", "new.mp4"))
    return side_by_side(before, after, titles=("before", "after"))


if __name__ == "__main__":
    main()
