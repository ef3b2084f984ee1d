"""The names of the metrics: in the configuration, in the registry and in the documentation."""

import re

from vividface.evaluation.metrics import METRICS, direction, load_metrics


def test_configured_names_resolve_to_variants(monkeypatch, tmp_path):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    ready, missing = load_metrics(["ids", "facecons", "psnr_rgb", "musiq"], identity_network="dlib")
    assert list(ready) == ["ids_dlib", "facecons_dlib", "psnr_rgb"]
    assert list(missing) == ["musiq"]


def test_another_identity_networks_name_is_not_given_to_the_backends_values():
    ready, missing = load_metrics(["ids_irse50", "vidd", "ids_mobilefacenet"], identity_network="dlib")
    assert list(ready) == ["vidd_dlib", "ids_mobilefacenet"]
    assert missing == {"ids_irse50": "the face backend's identity network is dlib; change faces.backend"}


def test_documentation_lists_every_variant(repository):
    text = (repository / "docs" / "metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))
    assert rows == {name: direction(name) for name in METRICS}
