"""The training loop of both stages, on one process or many."""

from __future__ import annotations

import csv
import logging
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from vividface.config import StageConfig
from vividface.errors import InputError
from vividface.files import atomic_path
from vividface.models.transformer import OneStepTransformer
from vividface.training.stages import Stage

logger = logging.getLogger(__name__)


class Restorer(nn.Module):
    """The transformer with Eq. 3 as its forward pass, which is what distributed wrappers intercept."""

    def __init__(self, transformer: OneStepTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, low: Tensor) -> Tensor:
        """See `OneStepTransformer.restore`."""
        return self.transformer.restore(low)


def train(
    transformer: OneStepTransformer, stage: Stage, config: StageConfig, log: Path, state: Path
) -> OneStepTransformer:
    """Train in place and return the transformer with its averaged (EMA) weights.

    Batches depend only on the seed and the step, so a run that is resumed from `state` continues as if it had
    never stopped.

    Args:
        transformer: where training starts.
        stage: batches and losses.
        config: hyper-parameters.
        log: CSV of `step`, the means of the loss's terms since the last row, `learning_rate`, `seconds`;
            one row every `log_every` steps.
        state: file of the training state; read if it is there, removed when training ends.

    Raises:
        InputError: the loss is not finite; the message names the step and the clips.
    """
    accelerator = Accelerator(
        mixed_precision=config.precision, gradient_accumulation_steps=config.gradient_accumulation
    )
    if config.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    run = _Run(Restorer(transformer.train()), config, accelerator)
    run.resume(state)
    for step in range(run.step, config.iterations):
        run.pending.append(run.advance(stage, step))
        if (step + 1) % config.log_every == 0 or step + 1 == config.iterations:
            run.report(step + 1)
        if (step + 1) % config.checkpoint_every == 0 and step + 1 < config.iterations:
            run.save(state, step + 1)
    trained = run.averaged()
    if accelerator.is_main_process:
        _write_log(log, run.rows)
        state.unlink(missing_ok=True)
    return trained


def _write_log(path: Path, rows: list[dict[str, float]]) -> None:
    fields = list(rows[0]) if rows else ["step", "loss", "learning_rate", "seconds"]
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)


class _Run:
    """Everything that changes while training, and its state on disk."""

    def __init__(self, restorer: Restorer, config: StageConfig, accelerator: Accelerator) -> None:
        self.config, self.accelerator = config, accelerator
        optimizer = torch.optim.AdamW(
            restorer.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        # accelerate steps the schedule once per process; scaling by their number keeps it in global steps.
        schedule = get_scheduler(
            "cosine" if config.schedule == "cosine" else "constant_with_warmup",
            optimizer,
            num_warmup_steps=config.warmup * accelerator.num_processes,
            num_training_steps=config.iterations * accelerator.num_processes,
        )
        self.model, self.optimizer, self.schedule = accelerator.prepare(restorer, optimizer, schedule)
        self.ema = EMAModel(restorer.parameters(), decay=config.ema_decay)
        self.ema.to(accelerator.device)
        self.step = self.first = 0
        self.rows: list[dict[str, float]] = []
        self.pending: list[dict[str, float]] = []
        self.started = time.monotonic()

    def report(self, step: int) -> None:
        """Log the means of the loss's terms since the last report."""
        terms = {name: sum(t[name] for t in self.pending) / len(self.pending) for name in self.pending[0]}
        self.pending = []
        rate = self.schedule.get_last_lr()[0]
        elapsed = time.monotonic() - self.started
        self.rows.append({"step": step, **terms, "learning_rate": rate, "seconds": round(elapsed, 2)})
        logger.info(
            "step %d of %d, %s, learning rate %.2e, %.0f s left",
            step,
            self.config.iterations,
            ", ".join(f"{name} {value:.5f}" for name, value in terms.items()),
            rate,
            elapsed / (step - self.first) * (self.config.iterations - step),
        )

    def advance(self, stage: Stage, step: int) -> dict[str, float]:
        """One optimiser step over all micro-batches; returns the last one's loss terms."""
        accumulation = self.config.gradient_accumulation
        terms: dict[str, Tensor] = {}
        for micro in range(accumulation):
            batch = stage.batch(
                step * accumulation + micro, self.accelerator.process_index, self.accelerator.num_processes
            ).to(self.accelerator.device)
            with self.accelerator.accumulate(self.model), self.accelerator.autocast():
                terms = stage.loss(self.model, batch)
                if not torch.isfinite(terms["loss"]):
                    raise InputError(
                        f"the loss is {terms['loss'].item()} at step {step + 1} with the clips "
                        f"{', '.join(batch.clip_ids)}; lower learning_rate, or look at these clips"
                    )
                self.accelerator.backward(terms["loss"])
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
                self.optimizer.step()
                self.schedule.step()
                self.optimizer.zero_grad()
        self.ema.step(self.accelerator.unwrap_model(self.model).parameters())
        return {name: value.item() for name, value in terms.items()}

    def averaged(self) -> OneStepTransformer:
        """The transformer with the averaged weights, in evaluation mode."""
        restorer = self.accelerator.unwrap_model(self.model)
        if self.config.iterations:
            self.ema.copy_to(restorer.parameters())
        transformer: OneStepTransformer = restorer.transformer
        transformer.disable_gradient_checkpointing()
        return transformer.eval()

    def save(self, path: Path, step: int) -> None:
        """Write the whole state, atomically."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "step": step,
            "rows": self.rows,
            "pending": self.pending,
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> None:
        """Go on from a saved state, if there is one."""
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.ema.to(self.accelerator.device)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = self.first = state["step"]
        self.rows, self.pending = state["rows"], state["pending"]
        logger.info("resumed from %s at step %d", path, self.step)
