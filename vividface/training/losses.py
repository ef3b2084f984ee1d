"""The face-focused losses of section 3.2."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def draw_focus(num_samples: int, p: float, generator: torch.Generator) -> Tensor:
    """b of Eq. 6: one Bernoulli(p) draw per sample, (B,) bool, on the generator's device."""
    return torch.rand(num_samples, generator=generator, device=generator.device) < p


def face_focused_loss(
    prediction: Tensor, target: Tensor, mask: Tensor, focus: Tensor, *, by_mask: bool = False
) -> Tensor:
    """Eq. 6, with the mean over elements where the paper writes a squared norm.

    Args:
        prediction: latents or frames (B, C, F, H, W).
        target: ground truth, of the same shape.
        mask: 1 on the face, else 0, (B, F, H, W); replicated over the channels.
        focus: b, whether a sample is supervised on its face alone, (B,) bool.
        by_mask: whether a focused sample's mean is over the elements in its mask alone, so that a small face
            weighs as much as a large one.

    Returns:
        a scalar: the mean over all samples and elements, those outside the mask of a focused sample counting
        as zero, or, `by_mask`, not at all.
    """
    weight = torch.where(focus.view(-1, 1, 1, 1), mask.to(prediction.dtype), 1.0).unsqueeze(1)
    squared = (weight * (prediction - target)).square()
    if by_mask:
        share = weight.mean((1, 2, 3, 4), keepdim=True)
        # A sample without a face in its mask has nothing to supervise.
        squared = squared / share.clamp_min(1 / weight[0].numel())
    return squared.mean()


def dists_loss(
    prediction: Tensor, target: Tensor, network: nn.Module, *, chunk: int = 4, checkpointed: bool = False
) -> Tensor:
    """L_DISTS of Eq. 8: the mean over frames, in float32 whatever the mixed precision.

    Args:
        prediction: frames (B, 3, F, H, W) in [-1, 1]; values outside are clamped, as a decoder would.
        target: ground truth, of the same shape.
        network: DISTS, of `vividface.models.perceptual.load_dists`.
        chunk: number of frames per call, which bounds the memory of the network's activations; that of all
            calls' stay for the backward pass unless they are `checkpointed`.
        checkpointed: whether to compute a call's activations again instead of keeping them.
    """
    call = partial(checkpoint, network, use_reentrant=False) if checkpointed else network
    restored, expected = (
        (frames.float().clamp(-1, 1).transpose(1, 2).flatten(0, 1) + 1) / 2 for frames in (prediction, target)
    )
    pairs = zip(torch.split(restored, chunk), torch.split(expected, chunk), strict=True)
    # DISTS subtracts squares of means from means of squares, which cancel out in fewer bits.
    with torch.autocast(prediction.device.type, enabled=False):
        return torch.cat([call(*pair).flatten() for pair in pairs]).mean()


def motion_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error of the changes from each frame to the next (not in the paper).

    Args:
        prediction: frames (B, 3, F, H, W) with F at least 2.
        target: ground truth, of the same shape.
    """
    return (prediction - target).diff(dim=2).square().mean()
