"""One process of a training: `accelerate launch -m vividface.training.worker JOB`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from vividface.errors import InputError, StoppedError
from vividface.files import write_json
from vividface.training.jobs import LatentJob, read_job
from vividface.training.run import train_latent_stage, train_pixel_stage


def main(path: Path) -> int:
    """Run a job's stage; returns the exit status: 75 after a signal, 1 for bad input.

    What ended it is left in `outcome-RANK.json` in the job's folder: the launcher reports nothing but that a
    process failed.
    """
    rank = int(os.environ.get("RANK", "0"))
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    job = read_job(path)
    outcome = job.folder / f"outcome-{rank:04d}.json"
    try:
        if isinstance(job, LatentJob):
            train_latent_stage(job)
        else:
            train_pixel_stage(job)
    except StoppedError as error:
        write_json(outcome, {"stopped": str(error)})
        return os.EX_TEMPFAIL
    except InputError as error:
        write_json(outcome, {"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
