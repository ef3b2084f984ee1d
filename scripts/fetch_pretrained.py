from pathlib import Path

from vividface.config import ModelConfig
from vividface.config.datasets import HubSource
from vividface.data.sources import fetch_repository
from vividface.downloads import Lock
from vividface.provenance.record import run_rule

with run_rule(snakemake) as job:
    model = ModelConfig(**snakemake.params.model)
    folder = model.pretrained.folder
    files = [f"{path.relative_to(folder)}/*" for path in model.pretrained_parts().values()]
    source = HubSource(
        kind="hub",
        repo=model.pretrained.repo,
        repo_type="model",
        revision=model.pretrained.revision,
        files=files,
    )
    fetch_repository(source, folder, Lock(Path("configs/locks") / "pretrained.json"))
    for path in model.pretrained_parts().values():
        job.makes(path)
