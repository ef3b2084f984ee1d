"""A drawn hand, which MediaPipe's networks take for one."""

from itertools import pairwise

import cv2
import numpy as np

# Roots to tips, on a square of 260 px.
_FINGERS = (
    ((95, 205), (70, 180), (48, 150), (35, 128)),
    ((100, 135), (94, 95), (90, 65), (88, 42)),
    ((124, 128), (124, 82), (124, 50), (124, 24)),
    ((148, 133), (154, 90), (158, 62), (160, 40)),
    ((168, 147), (180, 115), (188, 95), (194, 78)),
)
_PALM = [
    (92, 225),
    (82, 190),
    (92, 140),
    (124, 128),
    (150, 132),
    (174, 150),
    (172, 190),
    (160, 228),
    (155, 259),
]
_LINES = (((95, 170), (150, 160)), ((100, 185), (165, 172)), ((110, 150), (105, 220)))


def draw_hand(frame, centre, *, size):
    """Draw an open hand, fingers up, over a frame in place; returns its mask (H, W) in [0, 1].

    Args:
        frame: frame (H, W, 3) uint8, RGB.
        centre: x and y of its middle, px.
        size: side of the square that it fills, px.
    """
    mask, light = np.zeros((260, 260), np.float32), np.ones((260, 260), np.float32)
    palm = np.array([*_PALM, (105, 259)], np.int32)
    cv2.fillPoly(mask, [palm], 1.0)
    cv2.polylines(mask, [palm], isClosed=True, color=1.0, thickness=18)
    bones = [(bone, 26 if k else 30) for k, finger in enumerate(_FINGERS) for bone in pairwise(finger)]
    for (start, end), width in bones:
        cv2.line(mask, start, end, 1.0, width)
        cv2.line(light, start, end, 0.82, width + 4)
    for (start, end), width in bones:
        cv2.line(light, start, end, 1.06, round(width * 0.6))
        cv2.line(light, (end[0] - 9, end[1]), (end[0] + 9, end[1]), 0.8, 2)
    for start, end in _LINES:
        cv2.line(light, start, end, 0.78, 3)
    light = cv2.GaussianBlur(light, (0, 0), 4)[..., None] * np.linspace(1.05, 0.85, 260)[None, :, None]
    skin = (np.array([205, 150, 125]) * light).astype(np.float32)
    scale = size / 260
    matrix = np.array([[scale, 0, centre[0] - size / 2], [0, scale, centre[1] - size / 2]])
    shape = frame.shape[1::-1]
    placed = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), 1.5), matrix, shape, flags=cv2.INTER_AREA)
    skin = cv2.warpAffine(skin, matrix, shape, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    frame[:] = np.rint(frame + (skin - frame) * placed[..., None]).clip(0, 255).astype(np.uint8)
    return placed
