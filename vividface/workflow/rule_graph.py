"""docs/workflow.svg and docs/workflow.md: the rules, how they depend on each other, and what each does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from vividface.errors import InputError
from vividface.workflow.milestones import MILESTONES, milestone_of

_NODE = re.compile(r"\s*(\w+)\[(\w+)\]")
_EDGE = re.compile(r"\s*(\w+) --> (\w+)")
_RULE = re.compile(r"^ *rule (\w+):(.*?)^ *(?:script|shell):", re.MULTILINE | re.DOTALL)
_MESSAGE = re.compile(r'message:\s*"([^"]*)"')
# px: of a box, between boxes, around the drawing.
_HEIGHT, _LETTER, _GAP, _MARGIN = 30, 7.4, 26, 16
# One colour per milestone, light enough for dark letters.
_COLOURS = ("#cfe3f7", "#fde2c6", "#d9ead3", "#eeeeee", "#f6d5de", "#e3d7f2", "#fff2cc", "#d0ece7", "#f2dcd0")


def rule_edges(overlay: Path) -> dict[str, set[str]]:
    """The rules that each rule waits for, without those that it waits for through others.

    Args:
        overlay: file laid over config.yaml.

    Raises:
        InputError: Snakemake fails.
    """
    command = [sys.executable, "-m", "snakemake", "--configfile", str(overlay), "--forceall"]
    result = subprocess.run(
        [*command, "--rulegraph", "mermaid-js"], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise InputError(f"`snakemake --rulegraph` fails: {result.stderr.strip().splitlines()[-1]}")
    lines = result.stdout.splitlines()
    names = {match[1]: match[2] for line in lines if (match := _NODE.fullmatch(line))}
    waits: dict[str, set[str]] = {name: set() for name in names.values()}
    for match in filter(None, map(_EDGE.fullmatch, lines)):
        waits[names[match[2]]].add(names[match[1]])
    return {rule: direct - _reached(direct, waits) for rule, direct in waits.items()}


def _reached(rules: set[str], waits: Mapping[str, set[str]]) -> set[str]:
    """The rules that others of them wait for, at any distance."""
    reached: set[str] = set()
    stack = [before for rule in rules for before in waits[rule]]
    while stack:
        rule = stack.pop()
        if rule not in reached:
            reached.add(rule)
            stack += waits[rule]
    return reached


def draw(edges: Mapping[str, set[str]]) -> str:
    """The rules as an SVG, in layers from top to bottom, a colour per milestone."""
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout

    class Box:
        def __init__(self, name: str) -> None:
            self.w, self.h, self.xy = len(name) * _LETTER + 18, _HEIGHT, (0.0, 0.0)

    vertices = {name: Vertex(name) for name in sorted(edges)}
    for name, vertex in vertices.items():
        vertex.view = Box(name)
    links = [
        Edge(vertices[before], vertices[rule]) for rule in sorted(edges) for before in sorted(edges[rule])
    ]
    layout = SugiyamaLayout(Graph(list(vertices.values()), links).C[0])
    layout.xspace, layout.yspace = _GAP, _GAP
    layout.init_all(roots=[v for n, v in vertices.items() if not edges[n]])
    layout.draw(10)
    left = min(v.view.xy[0] - v.view.w / 2 for v in vertices.values()) - _MARGIN
    top = min(v.view.xy[1] - v.view.h / 2 for v in vertices.values()) - _MARGIN
    width = max(v.view.xy[0] + v.view.w / 2 for v in vertices.values()) + _MARGIN - left
    height = max(v.view.xy[1] + v.view.h / 2 for v in vertices.values()) + _MARGIN - top
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="ui-monospace, monospace" font-size="12" role="img" '
        'aria-label="The rules of the workflow">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for rule, direct in sorted(edges.items()):
        x, y = _place(vertices[rule].view.xy, left, top)
        for before in sorted(direct):
            from_x, from_y = _place(vertices[before].view.xy, left, top)
            start, end = from_y + _HEIGHT / 2, y - _HEIGHT / 2
            middle = (start + end) / 2
            curve = (
                f"M{from_x:.0f},{start:.0f} C{from_x:.0f},{middle:.0f} {x:.0f},{middle:.0f} {x:.0f},{end:.0f}"
            )
            lines.append(f'<path d="{curve}" fill="none" stroke="#888888"/>')
    for name, vertex in vertices.items():
        x, y = _place(vertex.view.xy, left, top)
        box = f'x="{x - vertex.view.w / 2:.0f}" y="{y - _HEIGHT / 2:.0f}" width="{vertex.view.w:.0f}"'
        lines.append(f'<rect {box} height="{_HEIGHT}" rx="5" fill="{_colour(name)}" stroke="#666666"/>')
        text = f'x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" fill="#111111"'
        lines.append(f"<text {text}>{escape(name)}</text>")
    return "\n".join([*lines, "</svg>", ""])


def _place(xy: Sequence[float], left: float, top: float) -> tuple[float, float]:
    return xy[0] - left, xy[1] - top


def _colour(rule: str) -> str:
    if rule == "all":
        return "#ffffff"
    return _COLOURS[list(MILESTONES).index(milestone_of(rule).name)]


def rule_messages(folder: Path) -> dict[str, tuple[str, str]]:
    """File and message of each rule, in the order in which they stand."""
    rules = {}
    for path in sorted(folder.glob("*.smk")):
        for name, body in _RULE.findall(path.read_text()):
            match = _MESSAGE.search(body)
            if match is None:
                raise InputError(f"{path}: the rule {name} has no message; give it one")
            rules[name] = (path.name, match[1])
    return rules


def documentation(folder: Path) -> str:
    """docs/workflow.md.

    Args:
        folder: `rules/` of the project.
    """
    rules = rule_messages(folder)
    lines = [
        "# The workflow",
        "",
        "The rules of the demo, each waiting for those above it; a colour is a milestone, which DVC versions",
        "as one piece ([versions.md](versions.md)). `make schema` draws this page from the rules.",
        "",
        "![The rules of the workflow](workflow.svg)",
        "",
        "With the preset `wan-1.3b`, `fetch_pretrained` and `empty_prompt` come before everything that",
        "computes with the model, and with the judge `qwen2.5-vl`, `fetch_judge` before `score_clips`. The",
        "rules of the milestone `study` are not part of the target `all`:",
        "`snakemake --cores 2 results/filter_study.md` runs them.",
        "",
        "What lies between the rules is in [data-formats.md](data-formats.md); which of them a changed key",
        "runs again, in [configuration.md](configuration.md). `snakemake --report report.zip` collects the",
        "results with their captions, and the time that each rule took.",
        "",
        "| rule | does | milestone | file |",
        "| --- | --- | --- | --- |",
    ]
    for milestone in MILESTONES.values():
        for rule in milestone.rules:
            file, message = rules[rule]
            text = re.sub(r", shard \{wildcards\.shard\}", "", message)
            text = re.sub(r"\{wildcards\.(\w+)\}", r"a \1", text)
            lines.append(f"| `{rule}` | {text} | {milestone.name} | `rules/{file}` |")
    return "\n".join(lines) + "\n"
