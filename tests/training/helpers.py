"""What tests of trainings look at, and how they are interrupted."""

import torch

from vividface.models.checkpoints import load_checkpoint
from vividface.training.stages import LatentStage


def trained_weights(job):
    return load_checkpoint(job.output)[0].state_dict()


def same_weights(*jobs):
    """Whether the checkpoints of these jobs have the same bits."""
    first, *others = map(trained_weights, jobs)
    return all(
        first.keys() == other.keys()
        and all(torch.equal(tensor, other[name]) for name, tensor in first.items())
        for other in others
    )


def state_names(job):
    """The states that a job has left."""
    folder = job.paths.states
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def fail_at_step(monkeypatch, failing_step):
    """From this step on, counted from 0, the data cannot be read."""
    batch = LatentStage.batch

    def read(self, step, **part):
        if step >= failing_step:
            raise KeyboardInterrupt
        return batch(self, step, **part)

    monkeypatch.setattr(LatentStage, "batch", read)
