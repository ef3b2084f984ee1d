"""Networks of MediaPipe on LiteRT, one CPU thread each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def load_network(content: bytes) -> Interpreter:
    """A network, ready to run.

    Args:
        content: content of a `.tflite` file.
    """
    network = Interpreter(model_content=content, num_threads=1)
    network.allocate_tensors()
    return network


def run_network(network: Interpreter, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a network by name.

    Args:
        network: network, used by one thread at a time.
        inputs: its inputs, in their order.
    """
    for detail, value in zip(network.get_input_details(), inputs, strict=True):
        network.set_tensor(detail["index"], value)
    network.invoke()
    return {d["name"]: network.get_tensor(d["index"]) for d in network.get_output_details()}
