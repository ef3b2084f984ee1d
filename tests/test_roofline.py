"""The table of the least times, in the documentation, against what the model does."""

import importlib.util
import sys

import pytest
import torch


@pytest.fixture(scope="module")
def roofline(repository):
    spec = importlib.util.spec_from_file_location("roofline", repository / "benchmarks" / "roofline.py")
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look for their module.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "roofline", module)
        spec.loader.exec_module(module)
        yield module


def test_the_documented_table_is_what_is_counted(roofline, repository):
    counted = roofline.rows_of(roofline.count())
    documented = {}
    for line in (repository / "docs" / "benchmarks.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in counted:
            documented[cells[0]] = [float(cell.replace(",", "")) for cell in cells[1:]]
    assert documented.keys() == counted.keys()
    for part, values in counted.items():
        # Two percent, or the last digit that is printed.
        assert documented[part] == pytest.approx(values, rel=0.02, abs=0.5), part


def test_operations_are_counted_by_hand(roofline):
    x, w = (torch.empty(shape, device="meta", dtype=torch.bfloat16) for shape in ((8, 16), (32, 16)))
    cost = roofline.cost_of(lambda: torch.nn.functional.linear(x, w).relu().view(4, 64))
    product, relu = cost.operations
    assert (product.flops, product.num_bytes) == (2 * 8 * 16 * 32, 2 * (8 * 16 + 32 * 16 + 8 * 32))
    assert (relu.flops, relu.num_bytes) == (0, 2 * 2 * 8 * 32), "a view moves nothing"
    gpu = roofline.Gpu("slow", flops=2 * 8 * 16 * 32 / 3, bandwidth=2 * 8 * 32)
    assert cost.seconds(gpu, fused=True) == pytest.approx(3.5), "its bytes take longer than its arithmetic"
    assert cost.seconds(gpu, fused=False) == pytest.approx(3.5 + 2)
