"""FasterVQA's network: a Video Swin-tiny whose attention tells fragments apart, and its head."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten

import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import PatchMerging
from torchvision.models.video.swin_transformer import (
    PatchEmbed3d,
    ShiftedWindowAttention3d,
    shifted_window_attention_3d,
)

from vividface.errors import InputError

# Frames, height and width in px of what the network sees, and its fragments along a side.
_INPUT_SIZE = 32, 224, 224
_FRAGMENTS = 7

_PATCH = 2, 4, 4
_WINDOW = 8, 7, 7
_CHANNELS = 96
_DEPTHS = 2, 2, 6, 2
_HEADS = 3, 6, 12, 24
_FEATURES = _CHANNELS << len(_DEPTHS) - 1
# The last stage has one token per fragment and side: nothing there lies in the same fragment.
_FRAGMENT_BIASES = True, True, True, False


class FasterVQANetwork(nn.Module):
    """FasterVQA (Wu et al., "Neighbourhood Representative Sampling", TPAMI 2023), `FAST_VQA_3D_1_1.pth`.

    Video Swin-tiny (Liu et al., CVPR 2022) with the grouped relative position biases of FAST-VQA (Wu et al.,
    ECCV 2022), and a head of 768, 64 and 1 channels. Names of parameters are those of the published file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fragments_backbone = _Backbone()
        self.vqa_head = nn.Sequential(
            OrderedDict(fc_hid=nn.Conv3d(_FEATURES, 64, 1), gelu=nn.GELU(), fc_last=nn.Conv3d(64, 1, 1))
        )

    def forward(self, fragments: Tensor) -> Tensor:
        """Quality maps of fragments.

        Args:
            fragments: normalised fragments (B, 3, 32, 224, 224), RGB.

        Returns:
            (B, 1, 16, 7, 7); the mean of a map is its clip's raw quality.
        """
        scores: Tensor = self.vqa_head(self.fragments_backbone(fragments))
        return scores


def load_fastervqa(path: Path) -> FasterVQANetwork:
    """The network with the weights of a published file, for inference.

    Raises:
        InputError: the file does not hold exactly this network's weights.
    """
    network = FasterVQANetwork()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    except (RuntimeError, LookupError, TypeError, AttributeError, UnpicklingError, EOFError) as error:
        raise InputError(
            f"{path}: does not hold the weights of FasterVQA ({shorten(str(error), 200)}); delete it and "
            "fetch it again"
        ) from None
    return network.eval().requires_grad_(requires_grad=False)


class _Backbone(nn.Module):
    """Features (B, 768, 16, 7, 7) of normalised fragments (B, 3, 32, 224, 224)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed3d(list(_PATCH), 3, _CHANNELS, nn.LayerNorm)
        frames, height, width = (side // patch for side, patch in zip(_INPUT_SIZE, _PATCH, strict=True))
        self.layers = nn.Sequential(
            *(
                _Stage(_CHANNELS << stage, stage=stage, size=(frames, height >> stage, width >> stage))
                for stage in range(len(_DEPTHS))
            )
        )
        self.norm = nn.LayerNorm(_FEATURES)

    def forward(self, fragments: Tensor) -> Tensor:
        features: Tensor = self.norm(self.layers(self.patch_embed(fragments)))
        return features.permute(0, 4, 1, 2, 3)


class _Stage(nn.Sequential):
    """Blocks over tokens (B, T, H, W, C); all stages but the last then halve height and width."""

    def __init__(self, channels: int, *, stage: int, size: tuple[int, int, int]) -> None:
        blocks = nn.Sequential(
            *(
                _Block(channels, stage=stage, size=size, shifted=index % 2 == 1)
                for index in range(_DEPTHS[stage])
            )
        )
        super().__init__(OrderedDict(blocks=blocks))
        if stage < len(_DEPTHS) - 1:
            self.add_module("downsample", PatchMerging(channels))


class _Block(nn.Module):
    """Attention and a perceptron of tokens (B, T, H, W, C), each added to what came in."""

    def __init__(self, channels: int, *, stage: int, size: tuple[int, int, int], shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = _FragmentAttention(channels, stage=stage, size=size, shifted=shifted)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(channels, 4 * channels), gelu=nn.GELU(), fc2=nn.Linear(4 * channels, channels)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return x


class _FragmentAttention(ShiftedWindowAttention3d):
    """Attention in windows of tokens (B, T, H, W, C), with other biases inside a fragment than across.

    Fragments are cut from all over a frame: neighbours in two of them are not neighbours in the frame.
    """

    def __init__(self, channels: int, *, stage: int, size: tuple[int, int, int], shifted: bool) -> None:
        # A window as wide as the tokens has nowhere to shift to.
        shift = [
            window // 2 if shifted and window < side else 0
            for window, side in zip(_WINDOW, size, strict=True)
        ]
        super().__init__(channels, list(_WINDOW), shift, _HEADS[stage])
        self._size = size
        if _FRAGMENT_BIASES[stage]:
            table = self.relative_position_bias_table
            self.fragment_position_bias_table = nn.Parameter(torch.zeros_like(table))
        else:
            self.register_parameter("fragment_position_bias_table", None)

    def forward(self, x: Tensor) -> Tensor:
        biases = self._biases(self.relative_position_bias_table)
        if self.fragment_position_bias_table is not None:
            inside = self._biases(self.fragment_position_bias_table)
            biases = torch.lerp(inside, biases, self._fragment_distances(x.device))
            biases = biases.expand(len(x), *biases.shape).flatten(0, 1)
        attended: Tensor = shifted_window_attention_3d(
            x,
            self.qkv.weight,
            self.proj.weight,
            biases,
            self.window_size,
            self.num_heads,
            self.shift_size,
            qkv_bias=self.qkv.bias,
            proj_bias=self.proj.bias,
            training=False,
        )
        return attended

    def _biases(self, table: Tensor) -> Tensor:
        """(1, heads, N, N) between the N tokens of a window."""
        return table[self.relative_position_index].permute(2, 0, 1)[None]

    def _fragment_distances(self, device: torch.device) -> Tensor:
        """(windows, 1, N, N): 0 in the same fragment, else the steps from fragment to fragment.

        The authors' code blends the two biases by this number, which beyond 1 extrapolates.
        """
        frames, height, width = self._size
        rows = torch.arange(height, device=device) * _FRAGMENTS // height
        columns = torch.arange(width, device=device) * _FRAGMENTS // width
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).float()
        places = places.roll([-step for step in self.shift_size[1:]], dims=(0, 1))
        down, right = _WINDOW[1:]
        windows = places.reshape(height // down, down, width // right, right, 2).transpose(1, 2)
        tokens = windows.reshape(-1, down * right, 2).repeat(frames // _WINDOW[0], _WINDOW[0], 1)
        return torch.cdist(tokens, tokens, p=1)[:, None]
