"""The drawing and the list of the rules in the documentation, against the rules."""

from vividface.workflow import rule_graph

ADVICE = "run `make schema`, and commit"


def test_the_committed_pages_are_those_of_the_rules(repository, monkeypatch):
    committed = (repository / "docs/workflow.md").read_text()
    assert committed == rule_graph.documentation(repository / "rules"), ADVICE
    monkeypatch.chdir(repository)
    edges = rule_graph.rule_edges(repository / "configs/demo.yaml")
    assert "latent_stage" in edges["pixel_stage"]
    assert (repository / "docs/workflow.svg").read_text() == rule_graph.draw(edges), ADVICE
