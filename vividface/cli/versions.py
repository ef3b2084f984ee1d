"""The commands of versions and provenance: `render-dvc`, `publish`, `pull`, `provenance`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vividface.cli.status import FAILED
from vividface.extras import require

if TYPE_CHECKING:
    from vividface.cli.types import Commands


def add_commands(commands: Commands) -> None:
    """Add the commands to the parser's."""
    render = commands.add_parser("render-dvc", help="render dvc.yaml from the configuration")
    render.add_argument("--configfile", type=Path, nargs="*", default=[], help="overlays of config.yaml")
    render.add_argument("--profile", help="Snakemake's profile in the stages' commands")
    render.set_defaults(run=_render)
    publish = commands.add_parser("publish", help="commit the last run's results to DVC, and push them")
    publish.add_argument("--remote", help="DVC's remote (default: its default)")
    publish.add_argument("--weights", metavar="NAME", help="a folder of weights/, or a fetched model, alone")
    publish.add_argument("--no-push", action="store_true", help="commit to the cache alone")
    publish.set_defaults(run=_publish)
    pull = commands.add_parser("pull", help="pull what was published, and make Snakemake agree with it")
    pull.add_argument("targets", nargs="*", metavar="TARGET", help="a path or milestone, to pull it alone")
    pull.add_argument("--remote", help="DVC's remote (default: its default)")
    pull.add_argument("--no-fetch", action="store_true", help="after `dvc pull` or `dvc checkout`")
    pull.set_defaults(run=_pull)
    provenance = commands.add_parser(
        "provenance", help="the files that a file was made from, every link verified"
    )
    provenance.add_argument("path", type=Path, metavar="PATH")
    provenance.add_argument("--full", action="store_true", help="read all files, whatever their times say")
    provenance.add_argument("--json", action="store_true", help="print the lineage as JSON")
    provenance.set_defaults(run=_provenance)


def _render(options: argparse.Namespace) -> None:
    from vividface.workflow.dvc_yaml import DVC_YAML, write_dvc_yaml

    changed = write_dvc_yaml(options.configfile, profile=options.profile)
    print(f"{DVC_YAML}: {'rendered' if changed else 'is up to date'}")


def _publish(options: argparse.Namespace) -> None:
    require("snakemake", "dvc")
    from vividface.workflow.publish import publish, publish_weights

    if options.weights is not None:
        file = publish_weights(options.weights, options.remote, push=not options.no_push)
        print(f"published: {file.with_suffix('')}\nnow: git add {file} && git commit")
        return
    published = publish(options.remote, push=not options.no_push)
    print(f"published: {', '.join(published.milestones)}")
    for name, rules in published.outdated.items():
        print(f"left out: {name} (Snakemake has to run {_jobs(rules)})")
    print("now: git add dvc.yaml dvc.lock && git commit")


def _pull(options: argparse.Namespace) -> None:
    require("snakemake", "dvc")
    from vividface.workflow.pull import pull

    planned = pull(options.targets, remote=options.remote, fetch=not options.no_fetch)
    if options.targets:
        print(f"pulled: {', '.join(options.targets)}")
    elif planned:
        print(f"pulled; Snakemake would run {_jobs(planned)}; `snakemake --dry-run` says why")
    else:
        print("pulled; Snakemake has nothing to do")


def _jobs(rules: dict[str, int]) -> str:
    return ", ".join(f"{rule} ({jobs})" for rule, jobs in rules.items())


def _provenance(options: argparse.Namespace) -> int:
    from vividface.workflow.lineage import describe, trace

    links = trace(options.path, trust_times=not options.full)
    if options.json:
        print(json.dumps([dataclasses.asdict(link) for link in links], indent=2))
    else:
        print(describe(links))
    problems = dict.fromkeys(link.problem for link in links if link.problem)
    for problem in problems:
        print(f"error: {problem}; run Snakemake, or `vividface pull` it", file=sys.stderr)
    return FAILED if problems else 0
