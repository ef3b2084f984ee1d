"""What a description of a published method may say."""

import pytest
from evaluation.methods.stub import describe
from pydantic import ValidationError

from vividface.evaluation.methods.description import Patch, PublishedMethod

DIFF = """--- a/a.py
+++ b/a.py
@@ -1,3 +1,4 @@ def one():
 a = 1
-b = 2
+b = 3
+c = 4

@@ -9 +10 @@
-d = 5
+d = 6
--- /dev/null
+++ b/b.py
@@ -0,0 +1,2 @@
+e = 7
+f = 8
\\ No newline at end of file
"""


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


def test_a_patch_is_taken_as_it_is():
    assert Patch(why="The test wants it.", diff=DIFF).diff == DIFF


@pytest.mark.parametrize(("whole", "without"), [("\n\n@@ -9", "\n@@ -9"), ("+f = 8\n", ""), ("-d = 5\n", "")])
def test_a_patch_that_lost_a_line_is_refused(whole, without):
    with pytest.raises(ValidationError, match=r"the hunk '@@ .*other numbers of lines"):
        Patch(why="The test wants it.", diff=DIFF.replace(whole, without))
