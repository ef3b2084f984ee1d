"""The image metrics against the values of their authors' code, as pyiqa's source archive records them.

The archive holds five image pairs (TID2013) and the values; it is fetched from the package registry. NIQE's
authors use MATLAB, whose resizing is not to be had in Python: there the values are pyiqa's own.
"""

import csv
import hashlib
import tarfile

import cv2
import numpy as np
import pytest

from vividface.config.datasets import PackageMember
from vividface.downloads import cache_directory
from vividface.errors import InputError
from vividface.evaluation.metrics import METRICS, Clip
from vividface.weights.packages import fetch_member

ARCHIVE = "80fb913302585a774875c224b4f95068ac17bebd88f735876e6f0c3bb0988d34"
FOLDER = "pyiqa-0.1.16/ResultsCalibra"
NAMES = ["I03", "I04", "I06", "I08", "I19"]


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The pairs by name, (512, 384) RGB, and the authors' values by metric."""
    folder = tmp_path_factory.mktemp("official")
    results = PackageMember(
        package="pyiqa",
        version="0.1.16",
        member=f"{FOLDER}/calibration_summary.csv",
        sha256="ed0a95cf5ad67dbfa4fac7c6c8a3b6320319d87cbb1119e03859d9bff93194ba",
    )
    try:
        table = fetch_member(results, folder / "results.csv", archive=ARCHIVE, sdist=True)
    except InputError as error:
        pytest.skip(f"pyiqa's source archive is not to be had here: {error}")
    archive = cache_directory() / "packages" / "pyiqa-0.1.16" / "pyiqa-0.1.16.tar.gz"
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == ARCHIVE

    def image(tar, kind, name):
        data = tar.extractfile(f"{FOLDER}/{kind}/{name}.bmp").read()
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)[None]

    with tarfile.open(archive) as tar:
        pairs = {n: (image(tar, "dist_dir", n), image(tar, "ref_dir", n)) for n in NAMES}
    rows = {row[0]: [float(v) for v in row[1:]] for row in csv.reader(table.open()) if row[0] != "Method"}
    return pairs, rows


@pytest.mark.parametrize(
    ("metric", "row", "tolerance"),
    [
        ("psnr_rgb", "psnr", 0.01),
        ("ssim_y", "ssim", 5e-4),
        ("lpips_alex", "lpips", 2e-4),
        ("dists", "dists", 1e-4),
        ("niqe", "niqe(ours)", 3e-3),
    ],
)
def test_metric_gives_its_authors_value(metric, row, tolerance, official, fetched):
    if metric in ("lpips_alex", "dists", "niqe"):
        fetched(metric)
    pairs, values = official
    network = METRICS[metric]()
    measured = [network.measure(Clip(frames=pairs[name][0], reference=pairs[name][1])) for name in NAMES]
    assert measured == pytest.approx(values[row], abs=tolerance)
