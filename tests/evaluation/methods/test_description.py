"""What a description of a published method may say."""

import pytest
from evaluation.methods.stub import describe
from pydantic import ValidationError

from vividface.evaluation.methods.description import PublishedMethod


@pytest.mark.parametrize("paths", [("models", "models/vae"), ("a/b.pth", "a/b.pth"), ("m", "m-2", "m/unet")])
def test_weights_that_lie_in_other_weights_are_refused(tmp_path, paths):
    weights = [{"kind": "hub", "repo": "a/b", "path": path} for path in paths]
    values = {**describe(tmp_path, "a" * 40, "frames"), "weights": weights}
    with pytest.raises(ValidationError, match="which is other weights"):
        PublishedMethod.model_validate(values)


def test_weights_may_lie_beside_each_other(tmp_path):
    weights = [{"kind": "hub", "repo": "a/b", "path": path} for path in ("m/a", "m/a-2", "m/b")]
    values = {**describe(tmp_path, "a" * 40, "frames"), "weights": weights}
    assert len(PublishedMethod.model_validate(values).weights) == 3
