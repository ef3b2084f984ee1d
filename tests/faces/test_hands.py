"""MediaPipe's hands: a drawn one, real ones, and faces, which are none."""

import cv2
import numpy as np
import pytest
from faces.hands import draw_hand

from vividface.faces.hands import Hand, HandFinder
from vividface.files import sha256
from vividface.video import iterate_frames
from vividface.weights.cache import is_cached, weights_path
from vividface.weights.catalogue import CATALOGUE, GROUPS

# Tips of thumb, first and little finger of the drawn hand, and its wrist, on its square of 260 px.
POINTS = {4: (35, 128), 8: (88, 42), 20: (194, 78), 0: (130, 235)}


@pytest.fixture(scope="module")
def finder():
    return HandFinder()


def test_the_networks_come_with_the_package_and_their_notice(repository):
    notice = (repository / "vividface/weights/bundled/NOTICE").read_text()
    for name in GROUPS["hands"]:
        source = CATALOGUE[name].source
        assert is_cached(name)
        assert sha256(weights_path(name)) == source.sha256
        assert source.sha256 in notice
        assert source.member in notice


@pytest.mark.parametrize("angle", [0, 50, -120])
@pytest.mark.parametrize("size", [130, 260])
def test_a_hand_is_found_with_its_landmarks(finder, size, angle):
    frame = np.full((480, 640, 3), (90, 110, 130), np.uint8)
    draw_hand(frame, (320, 240), size=size)
    turn = cv2.getRotationMatrix2D((320, 240), angle, 1)
    frame = cv2.warpAffine(frame, turn, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    (hand,) = finder.search(frame, (120, 40, 400), min_score=0.3)
    again = finder.follow(frame, hand)
    for found in (hand, again):
        assert found.presence > 0.8
        for index, point in POINTS.items():
            expected = turn @ (*((np.array(point) - 130) * size / 260 + (320, 240)), 1)
            assert np.linalg.norm(found.landmarks[index] - expected) < 0.1 * size, index
        assert 0.25 * size < found.size < 0.55 * size
    assert again.landmarks.dtype == np.float32


def test_where_nothing_is_no_hand_is_seen(finder):
    gray = np.full((240, 320, 3), 120, np.uint8)
    assert not finder.search(gray, (40, 0, 240), min_score=0.3)
    assert not finder.search(gray, (900, 900, 240), min_score=0.3), "beyond the frame"
    nowhere = Hand(np.random.default_rng(0).uniform(50, 150, (21, 2)).astype(np.float32), 1.0)
    assert finder.follow(gray, nowhere).presence < 0.5


def test_a_face_is_no_hand(finder, face_video):
    frames = list(iterate_frames(face_video))[::8]
    longer = max(frames[0].shape)
    seen = [hand.presence for frame in frames for hand in finder.search(frame, (0, 0, longer), min_score=0.3)]
    assert max(seen, default=0) < 0.9


def test_real_hands(finder, shared):
    """A man who sits and gestures, in a portrait frame."""
    clip = shared / "faces/train/latentsync_demo3_video.mp4"
    for index in (102, 159, 164):
        frame = next(iterate_frames(clip, index, index + 1))
        height, width = frame.shape[:2]
        hands = finder.search(frame, ((width - height) // 2, 0, height), min_score=0.3)
        assert sum(hand.presence > 0.9 for hand in hands) == 2
