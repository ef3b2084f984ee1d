"""`make schema`: what is made from the configuration's fields and from the rules, in a checkout."""

from __future__ import annotations

import json
from pathlib import Path

from vividface.config.documentation import commented, documentation, json_schema
from vividface.files import write_text
from vividface.workflow import rule_graph
from vividface.workflow.reruns import reruns


def write_documentation(checkout: Path = Path()) -> None:
    """Write config.schema.json, docs/configuration.md, docs/workflow.{md,svg} and config.yaml's comments.

    Args:
        checkout: folder of the project.
    """
    # In the fields' own order, which editors show.
    write_text(checkout / "config.schema.json", json.dumps(json_schema(), indent=2) + "\n")
    write_text(checkout / "docs/configuration.md", documentation(reruns()))
    config = checkout / "config.yaml"
    write_text(config, commented(config.read_text()))
    write_text(checkout / "docs/workflow.md", rule_graph.documentation(checkout / "rules"))
    edges = rule_graph.rule_edges(checkout / "configs/demo.yaml")
    write_text(checkout / "docs/workflow.svg", rule_graph.draw(edges))


if __name__ == "__main__":
    write_documentation()
