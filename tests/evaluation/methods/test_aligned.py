"""Methods that take aligned faces: alignment, restoration and pasting of whole clips."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vividface.config import FacesConfig
from vividface.evaluation.methods.aligned import align_faces, paste_faces, restore_aligned
from vividface.faces.base import Region
from vividface.faces.landmarks import five_points
from vividface.faces.load import load_backend
from vividface.video import read_clip


def identity(crops):
    return crops


def darker(frames):
    return frames // 2


@pytest.fixture(scope="module")
def backend():
    return load_backend(FacesConfig.of_backend("mediapipe"))


@pytest.fixture(scope="module")
def clip(face_video):
    return read_clip(face_video, 0, 6)


@pytest.fixture(scope="module")
def faces(clip, backend):
    return align_faces(clip, backend)


@pytest.fixture(scope="module")
def share(clip, faces, backend):
    """How much of each pixel is the pasted face's, (F, H, W): white pasted into black."""
    faces = replace(faces, is_grey=np.zeros_like(faces.is_grey))
    black, white = np.zeros_like(clip), np.full_like(faces.crops, 255)
    return paste_faces(black, white, faces, backend=backend)[..., 0] / 255


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


def test_crops_show_the_face_on_ffhqs_template(faces, backend):
    assert faces.crops.shape == (6, 512, 512, 3)
    found = [image[0].landmarks for image in backend.detect(list(faces.crops))]
    template = [[193, 240], [319, 240], [257, 314], [201, 371], [313, 371]]
    # A person is not the template's mean face: the nose of one is longer than of another.
    assert np.abs(five_points(np.stack(found)) - template).max() < 30
    inside = [face.landmarks for face in faces.faces]
    assert np.abs(np.stack(inside) - np.stack(found)).mean() < 6


def test_a_round_trip_changes_only_what_interpolation_changes(clip, share, backend):
    result = restore_aligned(clip, identity, backend=backend, background=identity)
    assert result.dtype == np.uint8
    inside = share > 0.99
    assert inside.mean() > 0.01
    assert psnr(result[inside], clip[inside]) > 38
    np.testing.assert_array_equal(result[share == 0], clip[share == 0])


def test_the_background_is_the_other_methods_and_the_face_is_not(clip, share, backend):
    result = restore_aligned(clip, identity, backend=backend, background=darker)
    np.testing.assert_array_equal(result[share == 0], darker(clip)[share == 0])
    inside = share > 0.99
    assert psnr(result[inside], clip[inside]) > 38


def test_a_restored_face_comes_back_to_its_place(clip, share, backend):
    result = restore_aligned(clip, lambda crops: 255 - crops, backend=backend, background=identity)
    inside = share > 0.99
    assert psnr(result[inside], 255 - clip[inside]) > 38


def test_a_clip_without_a_face_is_the_background(backend):
    frames = np.full((3, 64, 96, 3), 90, np.uint8)

    def never(crops):
        pytest.fail("there is no face to restore")

    np.testing.assert_array_equal(
        restore_aligned(frames, never, backend=backend, background=darker), frames // 2
    )


def test_a_frame_whose_face_is_lost_is_restored_between_its_neighbours(clip, faces, backend):
    hidden = clip.copy()
    hidden[3] = 90
    between = align_faces(hidden, backend)
    moved = np.abs(between.similarities - faces.similarities)[..., 2].max()
    assert moved < 3


def test_landmarks_are_calm_over_time(clip, backend):
    jumping = np.stack([np.roll(frame, 6 * (index % 2), axis=1) for index, frame in enumerate(clip)])
    offsets = align_faces(jumping, backend).similarities[:, 0, 2]
    still = align_faces(clip, backend).similarities[:, 0, 2]
    assert np.abs(np.diff(offsets - still)).max() < 2


def test_small_frames_are_enlarged_and_come_back_in_their_size(clip, backend):
    small = np.stack([cv2.resize(frame, (160, 90), interpolation=cv2.INTER_AREA) for frame in clip])
    faces = align_faces(small, backend)
    assert faces.scale == pytest.approx(512 / 90)
    result = restore_aligned(small, identity, backend=backend, background=identity)
    assert result.shape == small.shape
    assert psnr(result, small) > 34


def test_the_face_of_a_grey_frame_stays_grey(clip, backend):
    grey = clip.copy()
    grey[:] = np.rint(clip.mean(axis=-1, keepdims=True))

    def coloured(crops):
        return np.stack([crops[..., 0], crops[..., 1] // 2, crops[..., 2] // 3], axis=-1)

    result = restore_aligned(grey, coloured, backend=backend, background=identity)
    assert np.ptp(result.astype(int), axis=-1).max() == 0
    result = restore_aligned(clip, coloured, backend=backend, background=identity)
    assert np.ptp(result.astype(int), axis=-1).max() > 50


def test_the_restored_face_is_parsed_where_it_lies(faces, backend):
    parsed = backend.parse(list(faces.crops), faces.faces)
    assert (parsed[:, 250:350, 220:290] == Region.FACE).all()
    assert not (parsed[:, :40] == Region.FACE).any()
