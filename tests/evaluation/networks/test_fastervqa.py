"""FasterVQA's network, against the authors' own code."""

import numpy as np
import pytest
import torch
from evaluation.published import fastervqa_state

from vividface.errors import InputError
from vividface.evaluation.networks.fastervqa import FasterVQANetwork, load_fastervqa

# Of the authors' own network (VQAssessment/FAST-VQA-and-FasterVQA at 9f264e4, options/fast/f3dvqa-b.yml) with
# the state and the fragments of the test: its map at every fifth frame, third row and third column.
THEIRS = [
    [[-0.089860, 0.048080, 0.089000], [0.165610, 0.166490, 0.168960], [0.100610, 0.085180, 0.179570]],
    [[0.114190, 0.204370, 0.025050], [0.174980, 0.153610, 0.132520], [0.010700, 0.195130, 0.078960]],
    [[0.053800, 0.045180, -0.023270], [0.178990, 0.241480, 0.054410], [0.137750, 0.077560, 0.190180]],
    [[-0.008280, -0.002550, 0.118620], [0.114360, 0.048160, 0.001700], [0.129080, 0.135190, -0.009630]],
]
THEIR_MEAN = 0.092631


def test_maps_equal_the_authors(tmp_path):
    random = np.random.default_rng(0)
    torch.save({"state_dict": fastervqa_state(random)}, tmp_path / "weights.pth")
    network = load_fastervqa(tmp_path / "weights.pth")
    fragments = random.standard_normal((1, 3, 32, 224, 224), dtype=np.float32)
    with torch.inference_mode():
        maps = network(torch.from_numpy(fragments)).numpy()
    assert maps.shape == (1, 1, 16, 7, 7)
    assert np.allclose(maps[0, 0, ::5, ::3, ::3], THEIRS, atol=1e-4, rtol=0)
    assert maps.mean() == pytest.approx(THEIR_MEAN, abs=1e-5)


def test_names_are_the_published_files():
    """Beside its parameters the file holds the twelve tables of indices of the blocks."""
    state = FasterVQANetwork().state_dict()
    assert len(state) == 197
    # The published file has 127,343,543 bytes.
    assert sum(tensor.nbytes for tensor in state.values()) == 127_263_348
    backbone = {key.removeprefix("fragments_backbone.") for key in state if "fragments_backbone" in key}
    assert {key for key in state if "fragments_backbone" not in key} == {
        f"vqa_head.{layer}.{kind}" for layer in ("fc_hid", "fc_last") for kind in ("weight", "bias")
    }
    blocks = {".".join(key.split(".")[:4]) for key in backbone if ".blocks." in key}
    assert blocks == {f"layers.{i}.blocks.{j}" for i, depth in enumerate((2, 2, 6, 2)) for j in range(depth)}
    linear = ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    for block in blocks:
        expected = {f"{name}.{kind}" for name in linear for kind in ("weight", "bias")}
        expected |= {"attn.relative_position_bias_table", "attn.relative_position_index"}
        if not block.startswith("layers.3."):
            expected.add("attn.fragment_position_bias_table")
        assert {key.removeprefix(f"{block}.") for key in backbone if key.startswith(f"{block}.")} == expected
    assert {key for key in backbone if ".blocks." not in key} == {
        *(
            f"{name}.{kind}"
            for name in ("patch_embed.proj", "patch_embed.norm", "norm")
            for kind in ("weight", "bias")
        ),
        *(
            f"layers.{stage}.downsample.{name}"
            for stage in range(3)
            for name in ("reduction.weight", "norm.weight", "norm.bias")
        ),
    }


def rename(state):
    state["vqa_head.fc_first.weight"] = state.pop("vqa_head.fc_hid.weight")
    return {"state_dict": state}


def reshape(state):
    return {"state_dict": state | {"vqa_head.fc_last.bias": torch.zeros(2)}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (rename, r'Missing key\(s\) in state_dict: "vqa_head\.fc_hid\.weight"\. Unexpected key.*fc_first'),
        (reshape, r"size mismatch for vqa_head\.fc_last\.bias"),
        (lambda state: state, "'state_dict'"),
    ],
)
def test_a_file_of_another_network_is_refused_in_one_line(change, reason, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(change(FasterVQANetwork().state_dict()), path)
    with pytest.raises(
        InputError, match=rf"weights\.pth: .*{reason}.*; delete it and fetch it again"
    ) as raised:
        load_fastervqa(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pth: does not hold the weights of FasterVQA") as raised:
        load_fastervqa(path)
    assert "\n" not in str(raised.value)
