"""Masks in pixels and on the latent grid (section 3.2)."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

from vividface.config import FacesConfig
from vividface.data.encoding import align_mask
from vividface.faces.base import Region
from vividface.faces.dlib import outline_mask
from vividface.faces.load import load_backend
from vividface.faces.masks import clip_masks, write_masks
from vividface.video import read_clip, read_masks, write_clip

FACES = FacesConfig(backend="dlib", detection_size=640)


def align_naively(mask: np.ndarray, spatial: int, temporal: int) -> np.ndarray:
    length, height, width = mask.shape
    out = np.zeros((1 + (length - 1) // temporal, height // spatial, width // spatial), np.float32)
    for t in range(length):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                group = 0 if t == 0 else 1 + (t - 1) // temporal
                out[group, i, j] = max(out[group, i, j], float(mask[t, i * spatial, j * spatial]))
    return out


def ellipse_landmarks(centre: tuple[float, float], radius: float) -> np.ndarray:
    """A schematic face: jaw 0-16 on the lower half of a circle, brows 17-26 across, the rest inside."""
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    brows = np.stack([np.linspace(-0.8, 0.8, 10), np.full(10, -0.5)], axis=1)
    return (np.concatenate([jaw, brows, np.zeros((41, 2))]) * radius + centre).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 8, 8), (5, 16, 24), (17, 128, 128), (81, 64, 48)])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_alignment_equals_the_triple_loop(shape, as_tensor):
    mask = np.random.default_rng(shape[0]).random(shape) < 0.2
    aligned = align_mask(torch.from_numpy(mask) if as_tensor else mask)
    assert aligned.dtype == torch.float32
    np.testing.assert_array_equal(aligned.numpy(), align_naively(mask, 8, 4))


def test_alignment_with_other_compressions():
    mask = np.random.default_rng(0).random((7, 12, 18)) < 0.3
    np.testing.assert_array_equal(align_mask(mask, spatial=6, temporal=3).numpy(), align_naively(mask, 6, 3))


def test_nearest_is_that_of_torch():
    mask = torch.from_numpy(np.random.default_rng(1).random((1, 64, 64)) < 0.5)
    expected = torch.nn.functional.interpolate(mask[None].float(), (8, 8), mode="nearest")[0]
    assert torch.equal(align_mask(mask), expected)


@pytest.mark.parametrize("shape", [(4, 16, 16), (5, 12, 16), (5, 16, 20), (16, 16)])
def test_alignment_refuses_what_does_not_fit(shape):
    with pytest.raises(ValueError, match="mask of shape"):
        align_mask(np.zeros(shape, bool))


def test_the_mask_covers_face_and_forehead_and_nothing_else():
    mask = outline_mask(ellipse_landmarks((64, 64), 30), height=128, width=128)
    assert mask.dtype == bool
    assert mask.shape == (128, 128)
    inside = {"centre": (64, 64), "chin": (92, 64), "forehead": (35, 64)}
    outside = {"below the chin": (97, 64), "above the hair": (20, 64), "left": (64, 30), "right": (64, 98)}
    assert all(mask[point] for point in inside.values())
    assert not any(mask[point] for point in outside.values())


def test_the_forehead_follows_a_head_that_is_turned_upside_down():
    upright = ellipse_landmarks((64, 64), 30)
    flipped = 127 - upright
    agreement = (
        outline_mask(upright, height=128, width=128)
        == outline_mask(flipped, height=128, width=128)[::-1, ::-1]
    )
    assert agreement.mean() > 0.99


def test_a_face_that_leaves_the_frame_is_cut():
    mask = outline_mask(ellipse_landmarks((0, 64), 30), height=128, width=128)
    assert mask[64, 0]
    assert not mask[:, 40:].any()


def test_masks_are_written_one_video_per_clip(tmp_path):
    points = np.stack([ellipse_landmarks((40 + t, 64), 20) for t in range(5)])
    hq = tmp_path / "hq"
    write_clip(hq / "a-000000.mkv", np.zeros((5, 128, 128, 3), np.uint8), 25)
    faces = {"a-000000.landmarks": points, "a-000000.boxes": np.zeros((5, 4), np.float32)}
    save_file(faces, tmp_path / "faces.safetensors")
    table = pd.DataFrame({"clip_id": ["a-000000"]})
    batches_of_two = FACES.model_copy(update={"batch_size": 2})
    inputs = {"hq_dir": hq, "faces_file": tmp_path / "faces.safetensors"}
    write_masks(table, batches_of_two, **inputs, mask_dir=tmp_path / "masks")
    masks = read_masks(tmp_path / "masks/a-000000.mkv")
    expected = np.stack([outline_mask(face, height=128, width=128) for face in points])
    np.testing.assert_array_equal(masks, expected)
    write_masks(table.iloc[:0], FACES, **inputs, mask_dir=tmp_path / "none")
    assert list((tmp_path / "none").iterdir()) == []


def test_on_a_real_clip_the_mask_is_skin_and_reaches_the_forehead(shared):
    source = shared / "faces/eval/liveportrait_d0.mp4"
    if not source.is_file():
        pytest.skip(f"{source.name} is not in the folder that VIVIDFACE_SHARED names")
    frames = read_clip(source, 0, 5)
    backend = load_backend(FACES)
    faces = [faces_of_frame[0] for faces_of_frame in backend.detect(list(frames))]
    boxes, points = (np.stack([getattr(face, name) for face in faces]) for name in ("box", "landmarks"))
    masks = clip_masks(backend, list(frames), boxes=boxes, landmarks=points)
    hair = clip_masks(backend, frames[:1], boxes=boxes[:1], landmarks=points[:1], regions=[Region.HAIR])
    assert not hair.any()
    assert 0.1 < masks.mean() < 0.4
    for frame, mask, landmarks in zip(frames, masks, points, strict=True):
        brows = landmarks[17:27].mean(axis=0)
        forehead = brows + 0.25 * (brows - landmarks[8])
        assert mask[round(forehead[1]), round(forehead[0])]
        # The clip's background is a green screen.
        green = (frame[..., 1] > 1.3 * frame[..., 0]) & (frame[..., 1] > 1.1 * frame[..., 2])
        assert green[~mask].mean() > 0.5
        assert green[mask].mean() < 0.01
    assert align_mask(masks).shape == (2, 64, 64)
