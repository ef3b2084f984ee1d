"""`make schema`: what is made from the configuration's fields, the rules and the methods, in a checkout."""

from __future__ import annotations

import json
from pathlib import Path

from vividface.config.documentation import commented, documentation, json_schema
from vividface.evaluation.methods.catalogue import published_methods
from vividface.evaluation.methods.environment import conda_file
from vividface.evaluation.methods.pages import methods_page
from vividface.files import write_text
from vividface.workflow import rule_graph
from vividface.workflow.reruns import reruns


def write_documentation(checkout: Path = Path()) -> None:
    """Write what follows from the configuration's fields, the rules, and the published methods.

    That is config.schema.json, config.yaml's comments, docs/configuration.md, docs/workflow.{md,svg}, the
    list of methods in docs/methods.md, and envs/methods/.

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
    methods = checkout / "docs/methods.md"
    write_text(methods, methods_page(methods.read_text(), published_methods()))
    for name, method in published_methods().items():
        write_text(checkout / f"envs/methods/{name}.yaml", conda_file(method))


if __name__ == "__main__":
    write_documentation()
