"""dvc.yaml, rendered from the configuration: a stage per milestone, whose command is a Snakemake target."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vividface.config import STAGES, Config, load_config, read_yaml
from vividface.errors import InputError
from vividface.files import write_text
from vividface.workflow.checksums import RECORDS
from vividface.workflow.milestones import MILESTONES, Milestone, trained
from vividface.workflow.reruns import keys_of

DVC_YAML = Path("dvc.yaml")
CONFIG = Path("config.yaml")
_HEADER = """\
# Rendered from the configuration by `vividface render-dvc`: change that, not this.
# Snakemake runs the steps, DVC versions what they make: docs/versions.md.
"""


def write_dvc_yaml(overlays: Sequence[Path], *, profile: str | None = None, path: Path = DVC_YAML) -> bool:
    """Render dvc.yaml for config.yaml with overlays.

    Args:
        overlays: files given to `snakemake --configfile`; none for the paper's experiment.
        profile: Snakemake's profile in the stages' commands; None uses this machine's cores.
        path: file to write.

    Returns:
        whether the file changed.
    """
    text = _HEADER + yaml.safe_dump(render_dvc_yaml(overlays, profile=profile), sort_keys=False, width=110)
    if path.is_file() and path.read_text() == text:
        return False
    write_text(path, text)
    return True


def read_settings(path: Path = DVC_YAML) -> tuple[list[Path], str | None]:
    """The overlays and the profile that dvc.yaml was rendered with.

    Raises:
        InputError: it was rendered by something else.
    """
    try:
        variables = {name: value for entry in read_yaml(path)["vars"] for name, value in entry.items()}
        return [Path(file) for file in variables["configfiles"]], variables["profile"]
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: was not rendered by `vividface render-dvc`; run that first") from None


def render_dvc_yaml(overlays: Sequence[Path], *, profile: str | None = None) -> dict[str, Any]:
    """The content of dvc.yaml; see `write_dvc_yaml`."""
    config = load_config(CONFIG, *overlays)
    files = {path: _in_use(read_yaml(path), config) for path in (CONFIG, *overlays)}
    command = ["snakemake"]
    if overlays:
        command.append(f"--configfile {' '.join(map(str, overlays))}")
    command.append(f"--profile {profile}" if profile else "--cores all")
    return {
        "vars": [
            {"configfiles": [str(path) for path in overlays]},
            {"profile": profile},
            {"run": " ".join(command)},
        ],
        "stages": {
            milestone.name: _stage(milestone, config, files)
            for milestone in MILESTONES.values()
            if milestone.in_use()
        },
        "metrics": [f"results/summary/{method}.json" for method in config.methods()],
        "plots": _plots(config),
    }


def _stage(milestone: Milestone, config: Config, files: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    keys = keys_of(milestone.rules)
    return {
        "cmd": f"${{run}} {milestone.target}",
        "deps": [*milestone.inputs(config), *(f"scripts/{rule}.py" for rule in milestone.versioned_rules)],
        "params": [
            {str(path): present} for path, values in files.items() if (present := _present(values, keys))
        ],
        # Snakemake decides what is made again: DVC removes nothing before it runs.
        "outs": [
            {output: {"persist": True}}
            for output in [*milestone.outputs(config), f"{RECORDS}/{milestone.name}"]
        ],
    }


def _in_use(values: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """A file without the datasets, variants and methods that another one removes."""
    held = dict(values)
    for section, names in (("datasets", config.datasets), ("variants", config.variants)):
        if section in held:
            held[section] = _named(held[section], names)
    if "evaluation" in held:
        methods = _named(held["evaluation"].get("methods") or {}, config.evaluation.methods)
        others = {name: value for name, value in held["evaluation"].items() if name != "methods"}
        held["evaluation"] = {**others, **({"methods": methods} if methods else {})}
    return held


def _named(entries: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if name in names}


def _present(values: Mapping[str, Any], keys: Collection[str]) -> list[str]:
    """The dotted keys of a file that are among `keys`; a section whose keys all are stands for them."""
    patterns = [re.compile(_pattern(key)) for key in keys]
    return _matching(values, "", lambda path: any(pattern.fullmatch(path) for pattern in patterns))


def _matching(values: Mapping[str, Any], prefix: str, matches: Callable[[str], bool]) -> list[str]:
    present = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and not matches(path):
            inner = _matching(value, f"{path}.", matches)
            present += [path] if inner == [f"{path}.{key}" for key in value] else inner
        elif matches(path):
            present.append(path)
    return present


def _pattern(key: str) -> str:
    """A key of the table as a regular expression: a list is one key, whatever its entries hold."""
    return re.escape(key.partition("[]")[0]).replace(r"\*", "[^.]+")


def _plots(config: Config) -> list[dict[str, Any]]:
    plots: list[dict[str, Any]] = []
    for stage in STAGES:
        title = stage.replace("_", " ")
        for column, suffix in (("loss", ".csv"), ("psnr", "_validation.csv")):
            files = trained(config, stage, suffix)
            plot = {"x": "step", "y": dict.fromkeys(files, column), "title": f"{title}: {column}"}
            plots.append({f"{stage}_{column}": plot})
    return plots
