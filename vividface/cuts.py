"""Where shots begin, by PySceneDetect's content detector."""

from __future__ import annotations

import cv2
import numpy as np
from scenedetect import ContentDetector, FrameTimecode

# px: cuts are as plain in small pictures, at a tenth of the cost.
_LONGER_SIDE = 256


class CutDetector:
    """Tells where shots begin, frame by frame.

    Args:
        threshold: threshold of PySceneDetect's content detector, the mean change of hue, saturation and value
            from frame to frame, 0..255.
    """

    def __init__(self, threshold: float) -> None:
        self._detector = ContentDetector(threshold, min_scene_len=1)
        self._num_frames = 0

    def starts_shot(self, frame: np.ndarray) -> bool:
        """Whether a cut lies between the previous frame and this one, (H, W, 3) uint8, RGB."""
        # The rate is only used to name frames in seconds, which nothing here does.
        cuts = self._detector.process_frame(FrameTimecode(self._num_frames, 25.0), _small(frame))
        self._num_frames += 1
        return any(cut.frame_num == self._num_frames - 1 for cut in cuts)


def _small(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB to BGR with a longer side of at most 256 px."""
    height, width = frame.shape[:2]
    scale = min(_LONGER_SIDE / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.ascontiguousarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA)[..., ::-1])
