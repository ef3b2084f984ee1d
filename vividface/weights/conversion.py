"""From the formats in which packages carry weights to those that the networks here read."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import save

from vividface.errors import InputError


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


def flax_features(network: str, layers: list[int]) -> Callable[[Path, Path], None]:
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


def niqe_parameters(source: Path, destination: Path) -> None:
    """From BasicSR's names of the pristine model to those that pyiqa reads."""
    from scipy.io import savemat

    with np.load(source, allow_pickle=False) as parameters:
        mean, covariance = parameters["mu_pris_param"], parameters["cov_pris_param"]
    buffer = io.BytesIO()
    savemat(buffer, {"mu_prisparam": mean, "cov_prisparam": covariance})
    # The header's free text holds the time of writing; without it the file is the same everywhere.
    destination.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])
