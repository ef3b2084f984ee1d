"""The training loop of both stages, on one process or many."""

from __future__ import annotations

import csv
import logging
import math
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.utils.data import DataLoader, Dataset

from vividface.config import StageConfig, WatchConfig
from vividface.errors import InputError, StoppedError
from vividface.files import atomic_path
from vividface.models.transformer import OneStepTransformer
from vividface.training.acceleration import make_accelerator, make_optimizer
from vividface.training.adapters import add_adapters, merged
from vividface.training.stages import Batch, Stage
from vividface.training.state import State, StateFolder
from vividface.training.watch import Watch

logger = logging.getLogger(__name__)

# Steps whose mean loss a new loss is compared with, and how many there must be.
_RECENT, _ENOUGH = 100, 20
_FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
_TRAINABLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True, strict=False)
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@dataclass(frozen=True)
class Files:
    """Where a training writes.

    Attributes:
        curve: CSV of `step`, the means of the loss's terms since the last row, `learning_rate`, `seconds`;
            a row every `log_every` steps.
        validation: CSV of `step` and the validation's measures; a row every `validate_every` steps.
        state: folder of the states to resume from.
        watch: folder of TensorBoard's files and of the sample grids.
        stop: the run stops when this file appears, as it does when a signal comes.
    """

    curve: Path
    validation: Path
    state: Path
    watch: Path
    stop: Path


class Restorer(nn.Module):
    """The transformer with Eq. 3 as its forward pass, which is what distributed wrappers intercept."""

    def __init__(self, transformer: OneStepTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, low: Tensor) -> Tensor:
        """See `OneStepTransformer.restore`."""
        return self.transformer.restore(low)


def train(
    transformer: OneStepTransformer,
    stage: Stage,
    config: StageConfig,
    files: Files,
    settings: dict[str, Any],
    watch: WatchConfig,
) -> OneStepTransformer | None:
    """Train, and return the transformer with its averaged (EMA) weights.

    Batches depend only on the seed and the step, so a run that goes on from a state ends with the same
    weights as one that never stopped; on the CPU bit for bit.

    Args:
        transformer: where training starts; changed.
        stage: batches and losses.
        config: hyper-parameters.
        files: what is written, by the first process.
        settings: what else the run depends on; a state of a run with other settings is refused.
        watch: where what can be seen of the run goes.

    Returns:
        the transformer, on the CPU; None on all processes but the first.

    Raises:
        InputError: the loss is not finite or explodes; the message names the step and the clips.
        StoppedError: a signal (SIGTERM, SIGUSR1, SIGINT) came; the state is saved.
    """
    accelerator = make_accelerator(config)
    if config.lora_rank:
        add_adapters(transformer, config.lora_rank, settings["seed"])
    if config.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    run = _Run(transformer, stage, config, files, settings, accelerator)
    run.resume()
    with _signals() as asked, Watch(accelerator, files.watch, watch, run.step, settings) as watcher:
        for batches in run.batches():
            stop = run.advance(batches, bool(asked) or files.stop.exists())
            last = run.step == config.iterations
            if run.step % config.log_every == 0 or last:
                watcher.log(run.report(), run.step)
            if run.step % config.validate_every == 0 or last:
                run.validate(watcher)
            if (run.step % config.checkpoint_every == 0 or stop) and not last:
                run.save()
            if stop and not last:
                raise StoppedError(
                    f"stopped by a signal after step {run.step}; run it again to go on from there"
                )
    trained = run.averaged()
    if accelerator.is_main_process:
        write_rows(files.curve, run.rows, ["step", "loss", "learning_rate", "seconds"])
        write_rows(files.validation, run.validations, ["step"])
        run.states.finish()
    accelerator.wait_for_everyone()
    return trained


def write_rows(path: Path, rows: list[dict[str, float]], fields: list[str]) -> None:
    """Write a CSV, atomically: the columns `fields`, then the others that the rows have."""
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        others = sorted(set(rows[0]) - set(fields)) if rows else []
        writer = csv.DictWriter(file, [*fields, *others])
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Remember signals instead of dying of them: SLURM's pre-emption, a user's Ctrl-C."""
    asked: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shield(_: int) -> None:
    """SLURM signals every process of a job: those that only read are to live until the state is saved."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _MicroBatches(Dataset):
    """A process's micro-batches by their number, as a loader's workers make them."""

    def __init__(self, stage: Stage, accelerator: Accelerator) -> None:
        self._stage, self._rank = stage, accelerator.process_index
        self._parts, self._processes = accelerator.gradient_accumulation_steps, accelerator.num_processes

    def __getitem__(self, number: int) -> Batch:
        step, part = divmod(number, self._parts)
        slot = part * self._processes + self._rank
        return self._stage.batch(step, slot, self._parts * self._processes)


class _Run:
    """Everything that changes while training."""

    def __init__(
        self,
        transformer: OneStepTransformer,
        stage: Stage,
        config: StageConfig,
        files: Files,
        settings: dict[str, Any],
        accelerator: Accelerator,
    ) -> None:
        self.config, self.accelerator, self.stage = config, accelerator, stage
        self._transformer_config = dict(transformer.config)
        stage.to(accelerator.device)
        restorer = Restorer(transformer.train())
        optimizer = make_optimizer(config, [p for p in restorer.parameters() if p.requires_grad])
        schedule = get_scheduler(
            "cosine" if config.schedule == "cosine" else "constant_with_warmup",
            optimizer,
            num_warmup_steps=config.warmup,
            num_training_steps=config.iterations,
        )
        self.model, self.optimizer, self.schedule = accelerator.prepare(restorer, optimizer, schedule)
        self.ema = EMAModel(self._trainable(), decay=config.ema_decay)
        self._parts = accelerator.gradient_accumulation_steps
        settings = config.trajectory() | settings
        self.states = StateFolder(files.state, settings, config.keep_last, config.keep_every)
        self.step = self._first = 0
        self.rows: list[dict[str, float]] = []
        self.validations: list[dict[str, float]] = []
        self._pending: list[dict[str, float]] = []
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._started = time.monotonic()
        self._seconds = 0.0

    def batches(self) -> Iterator[list[Batch]]:
        """The micro-batches of each step that is left, read ahead."""
        loader: DataLoader = DataLoader(
            _MicroBatches(self.stage, self.accelerator),
            batch_size=None,
            sampler=range(self.step * self._parts, self.config.iterations * self._parts),
            num_workers=self.config.workers,
            worker_init_fn=_shield,
        )
        step: list[Batch] = []
        for batch in loader:
            step.append(batch)
            if len(step) == self._parts:
                yield step
                step = []

    def advance(self, batches: list[Batch], stop: bool) -> bool:
        """One optimiser step; returns whether any process was asked to stop.

        Raises:
            InputError: the loss is not finite or explodes; the weights are those of the step before.
        """
        sums: dict[str, Tensor] = {}
        for batch in batches:
            with self.accelerator.accumulate(self.model):
                with self.accelerator.autocast():
                    terms = self.stage.loss(self.model, batch.to(self.accelerator.device))
                self.accelerator.backward(terms["loss"])
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0) + value.detach().float() / len(batches)
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(self._trainable(), self.config.max_grad_norm)
                    means, stop = self._agree(sums, float(norm), stop)
                    self._guard(means, sums, float(norm), batches)
                self.optimizer.step()
                self.schedule.step()
                self.optimizer.zero_grad()
        self.ema.step(self._trainable())
        self.step += 1
        self._pending.append(means)
        self._recent.append(means["loss"])
        return stop

    def report(self) -> dict[str, float]:
        """Log the means of the loss's terms since the last report, and return them."""
        pending, self._pending = self._pending, []
        means = {name: sum(terms[name] for terms in pending) / len(pending) for name in pending[0]}
        rate = float(self.schedule.get_last_lr()[0])
        elapsed = time.monotonic() - self._started
        speed = (self.step - self._first) * self.config.batch_size / elapsed
        left = (self.config.iterations - self.step) * self.config.batch_size / speed
        seconds = round(self._seconds + elapsed, 2)
        self.rows.append({"step": self.step, **means, "learning_rate": rate, "seconds": seconds})
        logger.info(
            "step %d of %d, %s, learning rate %.2e, %.2f samples/s, %s left",
            self.step,
            self.config.iterations,
            ", ".join(f"{name} {value:.5f}" for name, value in means.items()),
            rate,
            speed,
            timedelta(seconds=round(left)),
        )
        return means | {"learning_rate": rate, "samples_per_second": speed}

    def validate(self, watcher: Watch) -> None:
        """Measure the averaged weights on the clips that are not trained on."""
        with self._averages(), torch.no_grad():
            self.model.eval()
            with self.accelerator.autocast():
                measured = watcher.validate(self.stage.examples(self.model), self.step)
            self.model.train()
        if measured:
            self.validations.append({"step": self.step, **measured})
            said = ", ".join(f"{name} {value:.4f}" for name, value in measured.items())
            logger.info("step %d, validation: %s", self.step, said)

    def save(self) -> None:
        """Write the whole state."""
        weights = self._weights(_TRAINABLE)
        optimizer = get_optimizer_state_dict(self.model, self.optimizer.optimizer, options=_TRAINABLE)
        with self._averages():
            averages = self._weights(_TRAINABLE)
        if self.accelerator.is_main_process:
            progress = {
                "schedule": self.schedule.state_dict(),
                "averaged": self.ema.optimization_step,
                "rows": self.rows,
                "validations": self.validations,
                "pending": self._pending,
                "recent": list(self._recent),
                "seconds": self._seconds + time.monotonic() - self._started,
            }
            random = {"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}
            self.states.save(State(self.step, weights, averages, optimizer, progress, random))
        self.accelerator.wait_for_everyone()

    def resume(self) -> None:
        """Go on from the newest state, if there is one."""
        state = self.states.newest()
        if state is None:
            return
        set_model_state_dict(self.model, dict(state.ema), options=_TRAINABLE)
        self.ema = EMAModel(self._trainable(), decay=self.config.ema_decay)
        self.ema.optimization_step = state.progress["averaged"]
        set_model_state_dict(self.model, dict(state.model), options=_TRAINABLE)
        set_optimizer_state_dict(self.model, self.optimizer.optimizer, state.optimizer, options=_TRAINABLE)
        self.schedule.load_state_dict(state.progress["schedule"])
        torch.set_rng_state(state.random["torch"])
        if torch.cuda.is_available() and len(state.random["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state.random["cuda"])
        self.rows, self.validations = state.progress["rows"], state.progress["validations"]
        self._pending, self._seconds = state.progress["pending"], state.progress["seconds"]
        self._recent.extend(state.progress["recent"])
        self.step = self._first = state.step
        logger.info("resumed from %s at step %d", self.states.path, self.step)

    def averaged(self) -> OneStepTransformer | None:
        """The transformer with the averaged weights on the CPU, in evaluation mode, on the first process."""
        with self._averages():
            weights = self._weights(_FULL)
        if not self.accelerator.is_main_process:
            return None
        transformer = OneStepTransformer.from_config(self._transformer_config)
        if self.config.lora_rank:
            add_adapters(transformer, self.config.lora_rank, 0)
        Restorer(transformer).load_state_dict(weights)
        return merged(transformer).eval()

    def _weights(self, options: StateDictOptions) -> dict[str, Tensor]:
        """A copy: on the CPU torch gives the parameters themselves, which are about to change."""
        weights = cast(dict[str, Tensor], get_model_state_dict(self.model, options=options))
        return {name: tensor.clone() for name, tensor in weights.items()}

    def _trainable(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @contextmanager
    def _averages(self) -> Iterator[None]:
        """The model with its averaged weights for a while."""
        if not self.step:
            yield
            return
        self.ema.store(self._trainable())
        self.ema.copy_to(self._trainable())
        try:
            yield
        finally:
            self.ema.restore(self._trainable())

    def _agree(self, sums: dict[str, Tensor], norm: float, stop: bool) -> tuple[dict[str, float], bool]:
        """Means over all processes, and whether one of them was asked to stop."""
        flag = torch.tensor(float(stop), device=self.accelerator.device)
        reduced = self.accelerator.reduce(torch.stack([*sums.values(), flag]), "mean").tolist()
        means = dict(zip([*sums], reduced[:-1], strict=True))
        return means | {"gradient_norm": norm}, reduced[-1] > 0

    def _guard(
        self, means: dict[str, float], own: dict[str, Tensor], norm: float, batches: list[Batch]
    ) -> None:
        clips = ", ".join(clip for batch in batches for clip in batch.clip_ids)
        where = f"at step {self.step + 1} with the clips {clips}"
        advice = "lower learning_rate, or look at these clips"
        if not all(map(math.isfinite, [*means.values(), norm])):
            raise InputError(
                f"the loss is {float(own['loss'])} and the gradient's norm {norm} {where} (process "
                f"{self.accelerator.process_index} of {self.accelerator.num_processes}); {advice}"
            )
        usual = sum(self._recent) / max(len(self._recent), 1)
        if len(self._recent) >= _ENOUGH and means["loss"] > self.config.max_loss_ratio * usual:
            raise InputError(
                f"the loss of {means['loss']:.4g} is more than {self.config.max_loss_ratio:g} times "
                f"(max_loss_ratio) its recent mean of {usual:.4g} {where}; {advice}"
            )
