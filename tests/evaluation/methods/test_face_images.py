"""CodeFormer, GFPGAN and RestoreFormer: randomly initialised, in the files' published format."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vividface.config import FACE_NETWORKS
from vividface.errors import InputError, MissingWeightsError
from vividface.evaluation.footage import Footage
from vividface.evaluation.measure import Measuring, RestoredClip, measure_clips
from vividface.evaluation.methods import face_images
from vividface.evaluation.methods.face_images import FaceImageRestorer, load_face_network
from vividface.evaluation.methods.run import load_method, restore_clips
from vividface.evaluation.missing import missing_measurements
from vividface.evaluation.runs import Run, write_missing
from vividface.video import read_clip, write_clip
from vividface.weights.cache import weights_path
from vividface.weights.licences import S_LAB, refusals

ACCEPTED = ["s-lab-1.0"]


def write_random(cache, name, key="params_ema"):
    (cache / "weights").mkdir(exist_ok=True)
    torch.manual_seed(0)
    state = face_images._NETWORKS[name].build().state_dict()
    torch.save({key: state}, cache / "weights" / f"{name}.pth")
    return state


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def crop():
    y, x = np.mgrid[:512, :512] // 2
    return np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)[None]


class Halved(nn.Module):
    """Gives half of its images, and what else it was given."""

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, images, **options):
        self.given.append((images, options))
        return images / 2, "something else"


def test_every_face_network_can_be_loaded():
    assert set(face_images._NETWORKS) == set(FACE_NETWORKS)


def test_networks_see_rgb_in_their_own_range_and_give_it_back():
    network = Halved()
    crops = np.zeros((3, 8, 8, 3), np.uint8)
    crops[0], crops[1], crops[2, ..., 0] = 255, 128, 200
    restored = FaceImageRestorer(network, "cpu", {"weight": 0.5})(crops)
    images = torch.cat([given for given, _ in network.given])
    assert images.shape == (3, 3, 8, 8)
    assert images.min() == -1
    assert images.max() == 1
    assert images[2, 0, 0, 0] == pytest.approx(200 / 127.5 - 1)
    assert images[2, 1:].max() == -1
    assert network.given[0][1] == {"weight": 0.5}
    expected = [191.25, 127.75, (163.75, 63.75, 63.75)]
    for face, value in zip(restored, expected, strict=True):
        np.testing.assert_array_equal(face, np.broadcast_to(np.rint(value), face.shape))


def test_codeformer_runs_with_its_published_fidelity(cache, crop):
    state = write_random(cache, "codeformer")
    # As many tensors as the published file holds.
    assert len(state) == 515
    restorer = load_face_network("codeformer", accepted=ACCEPTED)
    fidelities = []
    for block in restorer._network.fuse_convs_dict.values():
        block.register_forward_pre_hook(lambda _, given: fidelities.append(given[2]))
    restored = restorer(crop)
    assert restored.shape == crop.shape
    assert restored.dtype == np.uint8
    assert fidelities == [0.5] * 4


@pytest.mark.parametrize(("name", "key"), [("gfpgan", "params_ema"), ("restoreformer", "params")])
def test_the_others_run(name, key, cache, crop):
    write_random(cache, name, key)
    restored = load_face_network(name, accepted=[])(crop)
    assert restored.shape == crop.shape
    assert restored.std() > 0


def test_noise_differs_from_face_to_face_and_is_the_same_in_every_call(crop):
    class Noisy(nn.Module):
        def forward(self, images):
            return (images + torch.randn_like(images),)

    restorer = FaceImageRestorer(Noisy(), "cpu", {})
    before = torch.get_rng_state()
    restored = restorer(np.repeat(crop, 2, axis=0))
    assert torch.equal(torch.get_rng_state(), before)
    assert not np.array_equal(restored[0], restored[1])
    np.testing.assert_array_equal(restorer(crop)[0], restored[0])


def test_a_licence_has_to_be_accepted(cache):
    with pytest.raises(MissingWeightsError) as error:
        load_face_network("codeformer", accepted=["apache-2.0"])
    assert [str(error.value)] == refusals("codeformer", [S_LAB], [])


def test_weights_that_are_not_there_are_named(cache):
    with pytest.raises(MissingWeightsError, match="vividface weights fetch gfpgan"):
        load_face_network("gfpgan", accepted=[])


@pytest.mark.parametrize(
    ("name", "library"), [("codeformer", "spandrel_extra_arches"), ("restoreformer", "spandrel")]
)
def test_a_library_that_is_not_there_is_named(name, library, cache, monkeypatch):
    for module in [module for module in sys.modules if module.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Hiding(library), *sys.meta_path])
    with pytest.raises(
        MissingWeightsError, match=rf"{library}, which is not installed.*vividface\[methods\]"
    ):
        load_face_network(name, accepted=ACCEPTED)


class Hiding:
    """Finds no library of this name."""

    def __init__(self, library):
        self.library = library

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class Malicious:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code of the file was run')",))


@pytest.mark.parametrize("content", [Malicious(), {"params_ema": Malicious()}, {"params_ema": {}}, 3, b"x"])
def test_no_file_runs_code_and_one_of_another_network_is_refused(content, cache):
    (cache / "weights").mkdir()
    if isinstance(content, bytes):
        (cache / "weights/gfpgan.pth").write_bytes(content)
    else:
        torch.save(content, cache / "weights/gfpgan.pth")
    with pytest.raises(InputError, match="does not hold the weights of gfpgan"):
        load_face_network("gfpgan", accepted=[])


class Coloured(nn.Module):
    """In CodeFormer's place: tints what it is given by a weight of its own."""

    def __init__(self):
        super().__init__()
        self.tint = nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, images, weight):
        return (images + weight * self.tint,)


@pytest.fixture
def accepting(config):
    evaluation = config.evaluation.model_copy(update={"accept_licences": ACCEPTED})
    return config.model_copy(update={"evaluation": evaluation})


def measuring(config):
    return Measuring(metrics=["psnr_rgb", "ids"], faces_config=config.faces)


def test_a_benchmark_is_restored_timed_and_measured(fetched, accepting, face_video, tmp_path, monkeypatch):
    """From the published file's format to the metrics, with a small network in CodeFormer's place."""
    fetched("realesrgan")
    background = {name: weights_path(name) for name in ("realesrgan_param", "realesrgan_bin")}
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    for path in background.values():
        (tmp_path / "weights" / path.name).symlink_to(path)
    network = face_images._NETWORKS["codeformer"]
    small = face_images._FaceNetwork(Coloured, network.options)
    monkeypatch.setitem(face_images._NETWORKS, "codeformer", small)
    tint = torch.tensor([0.4, 0.0, -0.4]).reshape(3, 1, 1)
    torch.save({"params_ema": {"tint": tint}}, tmp_path / "weights/codeformer.pth")
    frames = read_clip(face_video, 0, 3)
    write_clip(tmp_path / "hq.mkv", frames, 25)
    clips = pd.DataFrame(
        {"clip_id": ["a"], "hq": [str(tmp_path / "hq.mkv")], "lq": [str(tmp_path / "hq.mkv")]}
    )
    method = load_method("codeformer", accepting, checkpoint=None)
    output = tmp_path / "restored"
    restore_clips("codeformer", method, clips=clips, config=accepting.restoration, output=output)
    run = Run.read(output)
    assert (run.method, run.num_frames, run.num_steps, run.missing) == ("codeformer", {"a": 3}, 0, "")
    assert run.seconds > 0
    change = (read_clip(output / "a.mkv").astype(int) - frames).mean(axis=(0, 1, 2))
    assert change[0] > 0.3 > -0.3 > change[2]
    restored = RestoredClip(
        clip_id="a", results={"codeformer": Footage(output / "a.mkv")}, reference=Footage(tmp_path / "hq.mkv")
    )
    values = measure_clips([restored], measuring(accepting)).set_index("metric")["value"]
    assert 15 < values["psnr_rgb"] < 40
    assert values["ids_dlib"] > 0.9


def test_a_method_that_cannot_be_loaded_is_missing_with_the_reason(config, tmp_path):
    with pytest.raises(MissingWeightsError) as error:
        load_method("codeformer", config, checkpoint=None)
    write_missing("codeformer", str(error.value), tmp_path / "restored")
    reason = Run.read(Path(tmp_path / "restored")).missing
    assert "s-lab-1.0" in reason
    table = missing_measurements(["a", "b"], "codeformer", measuring=measuring(config), reason=reason)
    assert len(table) == 4
    assert table["value"].isna().all()
    assert set(table["reason"]) == {reason}
