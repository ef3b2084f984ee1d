"""One process of a training: `python -m vividface.training.worker JOB`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from vividface.errors import InputError, StoppedError
from vividface.models.lean import claim_process, lean_diffusers
from vividface.training.job import LatentStageJob, read_job
from vividface.training.outcome import write_outcome


def main(path: Path) -> int:
    """Run a job's stage; returns the exit status: 75 after a signal, 1 for bad input."""
    rank = int(os.environ.get("RANK", "0"))
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    job = read_job(path)
    # Adapters are diffusers' own, through peft.
    with nullcontext() if job.stage.lora_rank else lean_diffusers():
        from vividface.training.run import train_latent_stage, train_pixel_stage
    try:
        if isinstance(job, LatentStageJob):
            train_latent_stage(job)
        else:
            train_pixel_stage(job)
    except (StoppedError, InputError) as error:
        write_outcome(job.folder, f"{rank:04d}", error)
        return os.EX_TEMPFAIL if isinstance(error, StoppedError) else 1
    return 0


if __name__ == "__main__":
    claim_process()
    sys.exit(main(Path(sys.argv[1])))
