"""The names of the metrics: in the configuration, in the registry and in the documentation."""

import re

from vividface.evaluation.metrics import METRICS, UNAVAILABLE, direction, load_metrics


def test_configured_names_resolve_to_variants(monkeypatch, tmp_path):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    ready, missing = load_metrics(["ids", "facecons", "psnr_rgb", "musiq"], identity_network="dlib")
    assert list(ready) == ["ids_dlib", "facecons_dlib", "psnr_rgb"]
    assert list(missing) == ["musiq"]


def test_documentation_lists_every_variant(repository):
    text = (repository / "docs" / "metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))
    assert rows == {name: direction(name) for name in (*METRICS, *UNAVAILABLE)}
