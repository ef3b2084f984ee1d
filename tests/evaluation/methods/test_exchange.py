"""What a program is given, and what is read of what it wrote."""

from fractions import Fraction

import numpy as np
import pytest
from evaluation.methods.stub import describe

from vividface.evaluation.methods.description import PublishedMethod
from vividface.evaluation.methods.exchange import cut, read_output, resize_by_area, write_input


@pytest.mark.parametrize(("size", "inner"), [("keep", (64, 48)), ("quarter", (16, 12))])
def test_what_fills_sides_up_to_a_multiple_is_cut_off_the_result(moving_frames, tmp_path, size, inner):
    """What was given is read as the result, as if the program had changed nothing."""
    reads = {"kind": "frames", "size": size, "multiple": 20}
    output = {"kind": "frames", "path": "{output}/{name}/*.png", "size": "any"}
    values = {**describe(tmp_path, "a" * 40, "frames"), "input": reads, "output": output}
    method, frames = PublishedMethod.model_validate(values), moving_frames[:, :48]
    (piece,) = cut("c", frames, Fraction(25), method=method)
    assert all(side % 20 == 0 for side in piece.frames.shape[1:3])
    np.testing.assert_array_equal(piece.frames[:, -1, -1], piece.frames[:, inner[1] - 1, inner[0] - 1])
    write_input(piece, tmp_path, reads=method.input)
    places = {"output": str(tmp_path), "name": piece.name}
    restored = read_output(piece, method=method, source=tmp_path, values=places, size=(64, 48))
    expected = [resize_by_area(resize_by_area(frame, inner), (64, 48)) for frame in frames]
    np.testing.assert_array_equal(restored, np.stack(expected))
