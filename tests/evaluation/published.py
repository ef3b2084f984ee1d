"""States of networks in the form in which their authors publish them, with drawn numbers."""

import numpy as np
import torch

from vividface.evaluation.networks.fastervqa import FasterVQANetwork


def fastervqa_state(random):
    """Every parameter drawn, key by key in alphabetical order, of a size that keeps features near 1."""
    state = {}
    for key, like in sorted(FasterVQANetwork().state_dict().items()):
        if not like.is_floating_point():
            state[key] = like
            continue
        values = random.standard_normal(like.shape, dtype=np.float32)
        if "norm" in key and key.endswith("weight"):
            values = 1 + 0.3 * values
        elif key.endswith("bias"):
            values *= np.float32(0.3)
        elif not key.endswith("table"):
            values /= np.float32(np.sqrt(values[0].size))
        state[key] = torch.from_numpy(values)
    return state
