"""Networks with third-party weights from the cache: strictly theirs, and nothing of a file is run."""

from __future__ import annotations

from collections.abc import Sequence
from pickle import UnpicklingError
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from vividface.errors import InputError
from vividface.weights.cache import weights_path

Network = TypeVar("Network", bound=nn.Module)


def load_network(network: Network, weights: str, *, part: str = "", keys: Sequence[str] = ()) -> Network:
    """Load weights into a network, which has to have exactly their tensors, and freeze it.

    Args:
        network: network with any weights, on the CPU.
        weights: name of the weights in the catalogue, a safetensors file or a state of PyTorch.
        part: beginning of the names of the network's tensors in a file that holds more than them.
        keys: names by which a file of several states may have the network's; the first that is there counts.

    Returns:
        the network, in evaluation mode.

    Raises:
        MissingWeightsError: the weights have not been fetched.
        InputError: the file is not of this network.
    """
    path = weights_path(weights)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
            state = next((loaded[key] for key in keys if key in loaded), loaded)
        tensors = {name.removeprefix("module."): tensor for name, tensor in state.items()}
        network.load_state_dict(
            {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}
        )
    except (RuntimeError, AttributeError, TypeError, UnpicklingError, EOFError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: does not hold the weights of {weights} ({reason}); delete it and fetch it again"
        ) from None
    return network.eval().requires_grad_(requires_grad=False)
