"""How many processes a rule's resources are for."""

import pytest

from vividface.workflow.resources import processes


@pytest.mark.parametrize(
    ("resources", "batch_size", "nodes", "per_node"),
    [
        ({"gpu": 8}, 32, 1, 8),
        ({"gpu": 16, "nodes": 2, "tasks": 2}, 32, 2, 8),
        ({"gpu": 0, "tasks": 2, "nodes": 2}, 4, 2, 1),
        ({"gpu": 0}, 3, 1, 1),
        ({"gpu": 8}, 3, 1, 3),
    ],
)
def test_every_gpu_has_a_process_if_the_batch_can_be_shared(resources, batch_size, nodes, per_node):
    assert processes(resources, batch_size=batch_size) == {"num_nodes": nodes, "num_processes": per_node}
