"""What a rule's resources mean for the processes that it starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)


def processes(resources: Mapping[str, Any], *, batch_size: int) -> dict[str, int]:
    """On how many processes a training runs: one for each GPU that was granted, or else for each task.

    Args:
        resources: resources of the rule: `nodes`, `gpu` (of all nodes together) and `tasks` (of all nodes).
        batch_size: samples of a step, of all processes together; GPUs that cannot have an equal share of it
            are left idle.

    Returns:
        `num_nodes`, the number of nodes, and `num_processes`, the number of processes per node.
    """
    nodes = resources.get("nodes", 1)
    granted = max((resources.get("gpu", 0) or resources.get("tasks", 1)) // nodes, 1)
    per_node = next((n for n in range(granted, 1, -1) if batch_size % (n * nodes) == 0), 1)
    if per_node < granted:
        logger.warning("a batch of %d is shared by %d of %d processes", batch_size, per_node, granted)
    return {"num_nodes": nodes, "num_processes": per_node}
