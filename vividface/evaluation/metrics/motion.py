"""Motion metrics: how the picture changes from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np

from vividface.evaluation.metrics.base import Clip, Metric, NotMeasurableError
from vividface.evaluation.metrics.faces import require_frames

# Where a pixel goes forward and back it ends this close to where it began, px^2, as a share of the squared
# motions and beside it (Sundaram et al., ECCV 2010).
_RELATIVE, _ABSOLUTE = 0.01, 0.5


class WarpingError(Metric):
    """Ewarp (Lai et al., ECCV 2018): mean squared difference of a frame and the next warped to it, x 1000.

    From 0, RGB in [0, 1]. The motion is the optical flow of OpenCV's DIS (Kroeger et al., ECCV 2016; preset
    medium) on grey frames: of the reference where there is one, else of the clip itself, so that values with
    and without a reference do not compare. Left out is what is occluded or leaves the frame: where the flow
    forward and the flow back do not cancel. Each pair of frames counts alike. Lai et al. take the flow of
    FlowNet2, and leave out the motion's edges too.

    Smoothness is rewarded, and without a reference freezing: read it beside the ground truth's.
    """

    name, better, needs_reference = "ewarp", "lower", False

    def measure(self, clip: Clip) -> float:
        """See `Metric`."""
        require_frames(clip, 2)
        moving = clip.frames if clip.reference is None else clip.reference
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in moving]
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        errors = []
        for index in range(len(grey) - 1):
            forward = flow.calc(grey[index], grey[index + 1], None)
            back = flow.calc(grey[index + 1], grey[index], None)
            seen = _seen_in_both(forward, back)
            if seen.any():
                frame, following = (clip.frames[i].astype(np.float32) / 255 for i in (index, index + 1))
                errors.append(((frame - warp(following, forward)) ** 2)[seen].mean())
        if not errors:
            raise NotMeasurableError("no motion can be followed in the clip")
        return float(np.mean(errors) * 1000)


def warp(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """An image as it is seen where its pixels came from.

    Args:
        image: (H, W, C) float32.
        flow: motion (H, W, 2), px, from the earlier image to this one, x before y.

    Returns:
        (H, W, C), bilinear; the image's border is continued.
    """
    x, y = _targets(flow)
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _targets(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel goes: x and y (H, W) float32."""
    y, x = np.indices(flow.shape[:2], np.float32)
    return x + flow[..., 0], y + flow[..., 1]


def _seen_in_both(forward: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The pixels (H, W) of the earlier frame that the later one shows."""
    height, width = forward.shape[:2]
    x, y = _targets(forward)
    returning = warp(back, forward)
    gap, motion = ((forward + returning) ** 2).sum(axis=2), (forward**2 + returning**2).sum(axis=2)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.asarray(inside & (gap < _RELATIVE * motion + _ABSOLUTE))
