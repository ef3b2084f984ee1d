"""Strengths between nothing and everything, and the guard against another person's face."""

import cv2
import numpy as np
import pytest
import torch

from vividface.models.autoencoders import DCTAutoencoder, WanAutoencoder
from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer
from vividface.restoration.pipeline import OneStepFacePipeline
from vividface.restoration.strength import identity_strength, steady
from vividface.video import read_clip

from .faces import CONFIG, backend, other_face, run, shrunk, written
from .helpers import WINDOWS
from .helpers import run as enhance_plain
from .test_pipeline import detail


@pytest.fixture
def pipeline():
    torch.manual_seed(0)
    transformer = OneStepTransformer(**(NANO | {"num_layers": 1, "ffn_dim": 64})).eval()
    return OneStepFacePipeline(transformer, DCTAutoencoder())


@pytest.fixture
def frames():
    """Neither dark nor bright, so that no change is clipped."""
    return np.random.default_rng(0).integers(28000, 38000, (7, 33, 50, 3), dtype=np.uint16)


def test_nothing_at_0_everything_at_1_and_linear_between(pipeline, frames):
    calls = []
    pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    whole = pipeline.restore(frames)
    assert np.array_equal(pipeline.restore(frames, strength=0), frames)
    assert np.array_equal(pipeline.restore(frames, strength=1), whole)
    change = whole.astype(float) - frames
    assert np.abs(change).max() > 1000
    for strength in (0.25, 0.7):
        calls.clear()
        part = pipeline.restore(frames, strength=strength).astype(float) - frames
        assert len(calls) == 1
        np.testing.assert_allclose(part, strength * change, atol=2)
    assert np.array_equal(
        pipeline(frames, strength=0.7).frames, pipeline.restore(frames, strength=0.7) / np.float32(65535)
    )
    latents = [pipeline(frames, strength=s, output_type="latent").frames for s in (0, 0.5, 1)]
    assert torch.allclose(latents[1], (latents[0] + latents[2]) / 2, atol=1e-5)
    with pytest.raises(ValueError, match=r"a strength of 1.5 is not in \[0, 1\]"):
        pipeline(frames, strength=1.5)


def test_a_video_at_0_and_at_1(pipeline, video, tmp_path):
    outputs = {}
    for name, restore, strength in (
        ("input", lambda frames: frames, 1.0),
        ("nothing", pipeline.restore, 0.0),
        ("restored", lambda frames: pipeline.restore(frames), 1.0),
        ("everything", pipeline.restore, 1.0),
        ("half", pipeline.restore, 0.5),
    ):
        config = WINDOWS.model_copy(update={"strength": strength})
        assert enhance_plain(video, tmp_path / f"{name}.mkv", restore, config=config).strength == strength
        outputs[name] = read_clip(tmp_path / f"{name}.mkv").tobytes()
    assert outputs["nothing"] == outputs["input"] != outputs["half"]
    assert outputs["everything"] == outputs["restored"] != outputs["half"]


def test_what_the_model_hardly_changes_is_kept_at_every_strength(pipeline, frames):
    """`keep_detail` looks at the change at full strength."""
    change = pipeline.restore(frames).astype(float) - frames
    ratio = 10 * np.log10(detail(change) / detail(frames.astype(float)))
    pipeline.transformer.register_to_config(keep_detail=ratio - 0.75)
    for strength in (0.5, 1):
        part = pipeline.restore(frames, strength=strength).astype(float) - frames
        np.testing.assert_allclose(part, strength * change / 2, atol=2 + 0.01 * np.abs(change).max())


def test_an_autoencoder_with_losses_is_left_out_at_0():
    torch.manual_seed(0)
    transformer = OneStepTransformer(num_attention_heads=1, text_dim=8, freq_dim=16, ffn_dim=32, num_layers=1)
    pipeline = OneStepFacePipeline(transformer.eval(), WanAutoencoder(base_dim=4).eval())
    frames = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    assert np.array_equal(pipeline.restore(frames, strength=0), frames)
    assert not np.array_equal(pipeline.restore(frames, strength=0.1), frames)


def test_a_strength_moves_steadily_to_its_target():
    assert steady(None, 0.3, 4).tolist() == pytest.approx([0.3] * 4)
    down, up = steady(1.0, 0.2, 30), steady(0.2, 1.0, 60)
    assert down[-1] == pytest.approx(0.2)
    assert up[-1] == pytest.approx(1)
    for values, before in ((down, 1.0), (up, 0.2)):
        assert np.abs(np.diff(values, prepend=before)).max() < 0.09


def crops_of(video, count=9):
    """Crops of the man's face, and the face in each."""
    crops = np.stack([other_face(frame) for frame in shrunk(video, count)])
    return crops, [faces[0] for faces in backend().detect(list(crops))]


def test_identity_decides_the_strength(face_video, other_face_video):
    crops, faces = crops_of(face_video)
    same = backend().same_person
    assert identity_strength(backend(), crops, crops, faces, threshold=same) == (pytest.approx(1), 1)
    sharper = np.stack([cv2.addWeighted(c, 2, cv2.GaussianBlur(c, (0, 0), 1.5), -1, 0) for c in crops])
    cosine, strength = identity_strength(backend(), crops, sharper, faces, threshold=same)
    assert cosine > same
    assert strength == 1
    other = np.stack([other_face(frame) for frame in shrunk(other_face_video, 9)])
    cosine, strength = identity_strength(backend(), crops, other, faces, threshold=same)
    assert cosine < same
    assert 0 < strength < 1
    blended = np.rint(crops + strength * (other.astype(float) - crops)).astype(np.uint8)
    assert identity_strength(backend(), crops, blended, faces, threshold=same)[1] == 1


def swapping(video):
    """A restorer that gives everybody the woman's face."""
    face = other_face(shrunk(video, 1)[0])
    return lambda crops: np.repeat(face[None], len(crops), axis=0)


AUTO = CONFIG.model_copy(update={"strength": "auto"})


def test_auto_holds_back_another_persons_face_and_nothing_else(face_video, other_face_video, tmp_path):
    source = written(tmp_path / "in.mkv", shrunk(face_video, 20))
    plain = run(source, tmp_path / "plain.mkv", lambda crops: crops, config=AUTO)
    (person,) = plain.people
    assert person == {"person": 1, "strength": 1.0, "cosine": pytest.approx(1)}
    swapped = run(source, tmp_path / "swapped.mkv", swapping(other_face_video), config=AUTO)
    (person,) = swapped.people
    assert person["cosine"] < backend().same_person
    assert person["strength"] < 0.9
    assert run(source, tmp_path / "fixed.mkv", swapping(other_face_video)).people == []
