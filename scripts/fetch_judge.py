from pathlib import Path

from vividface.config.datasets import HubSource
from vividface.data.sources import fetch_repository
from vividface.downloads import Lock
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    source = HubSource(
        kind="hub",
        repo=snakemake.params.repo,
        repo_type="model",
        revision=snakemake.params.revision,
        files=["*.json", "*.jinja", "*.txt", "*.safetensors"],
    )
    folder = Path(snakemake.params.folder)
    fetch_repository(source, folder, Lock(Path("configs/locks") / "judge.json"))
