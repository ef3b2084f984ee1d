"""Restoration networks of face images, frame by frame: CodeFormer, GFPGAN, RestoreFormer (Table 7).

Their architectures are spandrel's, their weights are as published, and they see what their authors' scripts
give them: RGB in [-1, 1]. spandrel's own calls would give CodeFormer and GFPGAN [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from vividface.errors import MissingWeightsError
from vividface.weights.catalogue import CATALOGUE
from vividface.weights.licences import refusals
from vividface.weights.networks import load_network

# Faces restored at a time.
_BATCH_SIZE = {"cpu": 1, "cuda": 8}
# Where the published files have the state.
_STATES = ("params_ema", "params")


def _codeformer() -> nn.Module:
    from spandrel_extra_arches.architectures.CodeFormer import CodeFormer

    network: nn.Module = CodeFormer()
    return network


def _gfpgan() -> nn.Module:
    from spandrel.architectures.GFPGAN import GFPGAN

    network: nn.Module = GFPGAN()
    return network


def _restoreformer() -> nn.Module:
    from spandrel.architectures.RestoreFormer import RestoreFormer

    network: nn.Module = RestoreFormer()
    return network


@dataclass(frozen=True)
class _FaceNetwork:
    """A network and how it is called.

    Attributes:
        build: function that makes it, with random weights.
        options: keyword arguments of its call.
    """

    build: Callable[[], nn.Module]
    options: dict[str, Any] = field(default_factory=dict)


_NETWORKS = {
    "codeformer": _FaceNetwork(
        _codeformer,
        # Its fidelity weight w, which its script has by default.
        {"weight": 0.5},
    ),
    "gfpgan": _FaceNetwork(_gfpgan, {"return_rgb": False}),
    "restoreformer": _FaceNetwork(_restoreformer),
}


class FaceImageRestorer:
    """Restores aligned faces one by one with a network.

    GFPGAN draws noise: it is the same in every call.

    Args:
        network: network of images (N, 3, 512, 512), RGB in [-1, 1], that gives a tuple with as many first.
        device: `cpu` or `cuda`.
        options: keyword arguments of its call.
    """

    def __init__(self, network: nn.Module, device: str, options: dict[str, Any]) -> None:
        self._network = network.to(device)
        self._device = device
        self._options = options

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Restore faces (F, 512, 512, 3) uint8 RGB; the same shape and type."""
        restored = np.empty_like(crops)
        batch_size = _BATCH_SIZE[self._device]
        with torch.random.fork_rng(range(torch.cuda.device_count())), torch.inference_mode():
            torch.manual_seed(0)
            for start in range(0, len(crops), batch_size):
                part = slice(start, start + batch_size)
                restored[part] = self._restore(crops[part])
        return restored

    def _restore(self, crops: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).contiguous()
        output = self._network(images.float() / 127.5 - 1, **self._options)[0]
        pixels = ((output.clamp(-1, 1) + 1) * 127.5).round().byte()
        return np.asarray(pixels.permute(0, 2, 3, 1).cpu().numpy())


def load_face_network(name: str, *, accepted: Collection[str], device: str = "cpu") -> FaceImageRestorer:
    """A network with its published weights.

    Args:
        name: name of one of `vividface.config.FACE_NETWORKS`.
        accepted: ids of the licences that the user accepts.
        device: `cpu` or `cuda`.

    Raises:
        MissingWeightsError: its licence is not accepted, or its library or its weights are not there.
        InputError: the file is not of this network.
    """
    network = _NETWORKS[name]
    licence = CATALOGUE[name].to_accept
    if licence is not None and (refused := refusals(name, [licence], accepted)):
        raise MissingWeightsError(refused[0])
    try:
        built = network.build()
    except ModuleNotFoundError as error:
        raise MissingWeightsError(
            f"{name}: needs the library {error.name}, which is not installed; run "
            "`pip install 'vividface[methods]'`"
        ) from None
    return FaceImageRestorer(load_network(built, name, keys=_STATES), device, network.options)
