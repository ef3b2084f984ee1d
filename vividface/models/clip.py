"""CLIP (Radford et al., ICML 2021), OpenAI's weights: pyiqa's networks with weights from the cache."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import InterpolationMode, center_crop, normalize, resize

from vividface.weights.networks import load_network

# px: side of the images that the networks were trained on; the colours' mean and deviation.
_SIDE = 224
_COLOURS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# CLIP's tokens of the words in the prompts. Its tokenizer's package cannot be imported beside a current
# setuptools, and these few are all that is needed of it.
_START, _END, _CONTEXT_LENGTH = 49406, 49407, 77
_TOKENS = {
    **{"good": 886, "bad": 2103, "image": 2867, "sharp": 8157, "blurry": 21977, "edges": 20938},
    **{"high": 1400, "low": 1042, "resolution": 9977, "noise": 9307, "-": 268, "free": 1139, "noisy": 33495},
}
PROMPTS = (
    *("good image", "bad image", "sharp image", "blurry image", "sharp edges", "blurry edges"),
    *("high resolution image", "low resolution image", "noise - free image", "noisy image"),
)


class ClipIQA(nn.Module):
    """CLIP-IQA (Wang et al., AAAI 2023) on CLIP's RN50, as pyiqa has it under the name `clipiqa`.

    The share of the first prompt of a pair in the softmax over both, mean over the five pairs of `PROMPTS`.
    The images keep their size: the network pools without its positional embedding. The prompts' features are
    computed once, where pyiqa computes them for every batch.

    Raises:
        MissingWeightsError: CLIP's weights are not in the cache.
        InputError: the file of weights is not of this network.
    """

    _text: Tensor

    def __init__(self) -> None:
        from pyiqa.archs.clip_model import CLIP

        super().__init__()
        clip = CLIP(
            embed_dim=1024,
            image_resolution=_SIDE,
            vision_layers=(3, 4, 6, 3),
            vision_width=64,
            vision_patch_size=None,
            context_length=_CONTEXT_LENGTH,
            vocab_size=49408,
            transformer_width=512,
            transformer_heads=8,
            transformer_layers=12,
        )
        load_network(clip, "clip_rn50")
        text = nn.functional.normalize(clip.encode_text(tokenize(PROMPTS))) * clip.logit_scale.exp()
        self._visual: nn.Module = clip.visual
        self.register_buffer("_text", text)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N,) in [0, 1], higher for better images, of a batch (N, 3, H, W) in [0, 1]."""
        features = nn.functional.normalize(self._visual(normalize(x, *_COLOURS)))
        shares: Tensor = (features @ self._text.T).reshape(len(x), -1, 2).softmax(dim=-1)
        return shares[..., 0].mean(dim=1)


class ClipImageEncoder(nn.Module):
    """The image encoder of CLIP's ViT-B/32.

    Raises:
        MissingWeightsError: CLIP's weights are not in the cache.
        InputError: the file of weights is not of this network.
    """

    def __init__(self) -> None:
        from pyiqa.archs.clip_model import VisionTransformer

        super().__init__()
        network: nn.Module = VisionTransformer(
            input_resolution=_SIDE, patch_size=32, width=768, layers=12, heads=12, output_dim=512
        )
        self._network = load_network(network, "clip_vit_b32", part="visual.")

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, 512) of unit length of a batch (N, 3, H, W) in [0, 1].

        As CLIP prepares images: bicubic to a shorter side of 224 px, the square in the middle, normalised.
        """
        x = resize(x, [_SIDE], interpolation=InterpolationMode.BICUBIC, antialias=True).clamp(0, 1)
        x = normalize(center_crop(x, [_SIDE]), *_COLOURS)
        features: Tensor = self._network(x, pos_embedding=True)
        return nn.functional.normalize(features)


def tokenize(prompts: tuple[str, ...]) -> Tensor:
    """Prompts of known words, separated by spaces, as CLIP's tokens (N, 77)."""
    tokens = torch.zeros(len(prompts), _CONTEXT_LENGTH, dtype=torch.long)
    for row, prompt in zip(tokens, prompts, strict=True):
        words = [_START, *(_TOKENS[word] for word in prompt.split()), _END]
        row[: len(words)] = torch.tensor(words)
    return tokens
