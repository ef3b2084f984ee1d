"""What a rule's script runs in: its configuration, its device, its log and its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vividface.config import Config, validate_config
from vividface.devices import choose_device
from vividface.models.lean import claim_process
from vividface.workflow.logs import rule_log
from vividface.workflow.records import record_path, write_record


class RuleRun:
    """A running rule.

    Args:
        snakemake: object that Snakemake gives to a script.

    Attributes:
        config: the configuration as far as the rule declares it (`params: config=cfg.pick(...)`), with all
            keys that only say how a result is computed.
        inputs: checksums of the files that were read besides the rule's inputs, by their path.
        outputs: files and folders that were written besides the rule's outputs.
    """

    def __init__(self, snakemake: Any) -> None:
        config = validate_config(snakemake.config)
        self.config: Config = config.restricted(dict(snakemake.params.items()).get("config", {}))
        self.inputs: dict[str, str] = {}
        self.outputs: list[str] = []
        self._granted = int(snakemake.resources.get("gpu", 0))
        # A rule of the nano model computes on the CPU where a GPU was granted that is none.
        self._asked = "auto" if config.model.preset == "nano" else "cuda"

    def device(self, *, needs_gpu: bool = True) -> str:
        """Where networks run: `cuda` if the rule was granted a GPU, else `cpu`.

        Args:
            needs_gpu: whether the networks can use a GPU at all.

        Raises:
            InputError: a GPU was granted, but none is visible.
        """
        return choose_device(self._asked, num_gpus=self._granted) if needs_gpu else "cpu"

    def uses(self, paths: Iterable[str], checksums: Iterable[str]) -> None:
        """Record files that were read, with their SHA-256; a file without one does not exist."""
        self.inputs |= {path: sum_ for path, sum_ in zip(paths, checksums, strict=True) if sum_}

    def makes(self, path: Path | str) -> None:
        """Record a file or folder that was written besides the rule's outputs."""
        self.outputs.append(str(path))


@contextmanager
def run_rule(snakemake: Any) -> Iterator[RuleRun]:
    """Run a rule's script: its log as `rule_log` writes it, and its record when it ends well.

    Args:
        snakemake: object that Snakemake gives to a script.
    """
    claim_process()
    with rule_log(snakemake.log[0]):
        record_path(snakemake.rule, dict(snakemake.wildcards.items())).unlink(missing_ok=True)
        run = RuleRun(snakemake)
        yield run
        write_record(snakemake, run.inputs, run.outputs)
