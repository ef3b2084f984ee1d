"""What lies in front of a face stays as it is."""

import cv2
import numpy as np
import pytest
from faces.hands import draw_hand

from vividface.config import FacesConfig
from vividface.faces.base import Region
from vividface.faces.crops import face_box
from vividface.faces.hands import HandFinder
from vividface.faces.load import load_backend
from vividface.faces.tracking import interpolate
from vividface.restoration.cutting import FaceFrame, _crop_boxes
from vividface.restoration.occlusion import covered, hand_masks
from vividface.restoration.paste import restore_faces
from vividface.video import iterate_frames

REGIONS = (Region.FACE, Region.HAIR, Region.NECK)
COUNT = 13


@pytest.fixture(scope="module")
def backend():
    return load_backend(FacesConfig.of_backend("mediapipe"))


@pytest.fixture(scope="module")
def hands():
    return HandFinder()


@pytest.fixture(scope="module")
def scene(backend, face_video):
    """Real frames with their faces, those with a drawn hand over a cheek, and the hand's masks."""
    frames = list(iterate_frames(face_video, 20, 20 + COUNT))
    faces = [found[0] for found in backend.detect(frames)]
    with_hand, masks = [], []
    for index, (frame, face) in enumerate(zip(frames, faces, strict=True)):
        box = face_box(face.box, face.landmarks)
        side = float((box[2:] - box[:2]).max())
        covered_frame = frame.copy()
        centre = (box[0] + (0.05 + 0.02 * index) * side, box[1] + 0.75 * side)
        masks.append(draw_hand(covered_frame, centre, size=0.8 * side))
        with_hand.append(covered_frame)
    return frames, faces, with_hand, masks


def darken(crops):
    return crops - np.minimum(crops, 60)


def pasted(frames, faces, backend, hands):
    pairs = enumerate(zip(frames, faces, strict=True))
    face_frames = [FaceFrame(frame, [face], index) for index, (frame, face) in pairs]
    result = restore_faces(
        face_frames, darken, backend=backend, size=128, margin=0.3, min_face=16, hands=hands
    )
    return [after.astype(int) - before for after, before in zip(result.frames, frames, strict=True)]


def test_a_hand_stays_and_the_rest_of_the_face_changes(scene, backend, hands):
    _, faces, frames, masks = scene
    changes = pasted(frames, faces, backend, hands)
    unguarded = pasted(frames, faces, backend, None)
    for change, without, mask, face in zip(changes, unguarded, masks, faces, strict=True):
        on_hand = (mask > 0.9) & (without.mean(axis=-1) < -40)
        assert on_hand.sum() > 300, "the hand covers a part of the face"
        kept = np.abs(change[on_hand]).max(axis=-1)
        assert (kept < 6).mean() > 0.9
        assert np.abs(change[on_hand]).mean() < 3
        brow = face.landmarks[336].astype(int)
        around = change[brow[1] - 6 : brow[1] - 2, brow[0] - 2 : brow[0] + 3]
        assert around.mean() < -40, "the forehead is restored"


def test_the_cut_is_steady_over_frames(scene, hands):
    _, faces, frames, masks = scene
    boxes, landmarks, _ = interpolate(faces)
    crop_boxes = _crop_boxes(face_box(boxes, landmarks), 0.3)
    found = hand_masks(hands, frames, indices=range(COUNT), boxes=boxes, crop_boxes=crop_boxes, size=128)
    true = [
        cv2.warpAffine(mask, box.transform(128), (128, 128))
        for mask, box in zip(masks, crop_boxes, strict=True)
    ]
    moved = np.abs(np.diff(true, axis=0)).mean()
    assert np.abs(np.diff(found, axis=0)).mean() < 2 * moved
    assert np.abs(np.diff(found, axis=2)).max() < 0.5, "the edge is soft"
    # A window that starts elsewhere in the video sees the same.
    later = hand_masks(
        hands, frames[3:], indices=range(3, COUNT), boxes=boxes[3:], crop_boxes=crop_boxes[3:], size=128
    )
    assert np.abs(later - found[3:]).mean() < 0.01


def test_no_hand_is_seen_where_none_is(scene, hands, face_video, backend):
    frames, faces, _, _ = scene
    boxes, landmarks, _ = interpolate(faces)
    crop_boxes = _crop_boxes(face_box(boxes, landmarks), 0.3)
    arguments = {"boxes": boxes, "crop_boxes": crop_boxes, "size": 128}
    assert hand_masks(hands, frames, indices=range(COUNT), **arguments) is None


def parsed_face(size=200):
    """A parsed crop: an oval face with hair above and a neck below."""
    labels = np.zeros((size, size), np.uint8)
    cv2.rectangle(labels, (70, 120), (130, 199), int(Region.NECK), -1)
    cv2.ellipse(labels, (100, 90), (62, 75), 0, 0, 360, int(Region.HAIR), -1)
    cv2.ellipse(labels, (100, 105), (48, 62), 0, 0, 360, int(Region.FACE), -1)
    return labels


def test_parsing_cuts_out_what_is_in_front_of_the_face():
    whole = parsed_face()
    bar, strand, hat = whole.copy(), whole.copy(), whole.copy()
    cv2.rectangle(bar, (92, 130), (108, 199), int(Region.BACKGROUND), -1)
    cv2.line(strand, (125, 45), (115, 150), int(Region.HAIR), 6)
    cv2.rectangle(hat, (40, 0), (160, 62), int(Region.CLOTH), -1)
    on_face = (strand == Region.HAIR) & (whole == Region.FACE)
    masks = covered(np.stack([whole, bar, strand]), REGIONS)
    assert masks[1][135:160, 94:107].min() > 0.9, "a microphone"
    assert masks[2][60:140][on_face[60:140]].mean() > 0.8, "a strand of hair"
    for mask in masks[1:]:
        assert mask[100, 75] < 0.05
    single = covered(whole[None], REGIONS)
    assert not single.any(), "hair above and neck below cover nothing"
    assert covered(hat[None], REGIONS)[0][100, 100] == 0


class Parsing:
    """A backend that parses as it is told, in the frame."""

    num_landmarks, same_person = 5, 0.9

    def __init__(self, labels):
        self._labels = labels

    def parse(self, frames, faces):
        return np.stack([cv2.resize(self._labels, f.shape[1::-1], interpolation=0) for f in frames])

    def embed(self, frames, faces):
        return np.ones((len(faces), 1), np.float32)


def test_a_parsed_microphone_stays_as_it_is(scene):
    frames, faces, _, _ = scene
    labels = parsed_face()
    cv2.rectangle(labels, (92, 130), (108, 199), int(Region.BACKGROUND), -1)
    boxes, landmarks, _ = interpolate(faces)
    box = _crop_boxes(face_box(boxes, landmarks), 0.3)[0]
    for change in pasted(frames, faces, Parsing(labels), None):
        crop = cv2.warpAffine(change.mean(axis=-1).astype(np.float32), box.transform(200), (200, 200))
        assert np.abs(crop[140:160, 96:105]).mean() < 6
        assert crop[100, 70] < -40
