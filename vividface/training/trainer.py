"""The trainer of both stages, on one process or many."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
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

from vividface.errors import InputError, StoppedError
from vividface.models.transformer import OneStepTransformer
from vividface.training.base import Batch, Stage, StageConfig
from vividface.training.checkpointing import State, StateFolder
from vividface.training.distributed import make_accelerator, make_optimizers
from vividface.training.history import History
from vividface.training.job import TrainingPaths
from vividface.training.lora import add_adapters, merge_adapters
from vividface.training.monitor import Monitor
from vividface.training.signals import ignore_signals, on_signal

logger = logging.getLogger(__name__)

_FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
_TRAINABLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True, strict=False)


class OneStepModule(nn.Module):
    """The transformer with Eq. 3 as its forward pass, which is what distributed wrappers intercept."""

    def __init__(self, transformer: OneStepTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, lq: Tensor) -> Tensor:
        """See `OneStepTransformer.restore`."""
        return self.transformer.restore(lq)


class Trainer:
    """Trains a transformer with the batches and the losses of a stage.

    Batches depend only on the seed and the step, so a run that is resumed ends with the same weights as one
    that never stopped; on the CPU bit for bit.

    Args:
        transformer: transformer to start from; it is changed.
        stage: batches and losses.
        config: hyper-parameters.
        paths: paths that the first process writes to.
        seed: seed of the initial weights of adapters.
        settings: other values that the run depends on, JSON; a state of a run with other settings is refused.
    """

    def __init__(
        self,
        transformer: OneStepTransformer,
        stage: Stage,
        *,
        config: StageConfig,
        paths: TrainingPaths,
        seed: int,
        settings: dict[str, Any],
    ) -> None:
        self._stage, self._config, self._paths = stage, config, paths
        self._settings = config.results() | {"seed": seed} | settings
        self._states = StateFolder(
            paths.states, self._settings, keep_last=config.keep_last, keep_every=config.keep_every
        )
        self._accelerator = make_accelerator(config)
        self._transformer_config = dict(transformer.config)
        transformer.freeze_unused()
        if config.lora_rank:
            add_adapters(transformer, rank=config.lora_rank, seed=seed)
        if config.gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        stage.to(self._accelerator.device)
        module = OneStepModule(transformer.train())
        optimizers = make_optimizers(config, module)
        schedules = [
            get_scheduler(
                "cosine" if config.schedule == "cosine" else "constant_with_warmup",
                optimizer,
                num_warmup_steps=config.warmup,
                num_training_steps=config.iterations,
            )
            for optimizer in optimizers
        ]
        self._model, *prepared = self._accelerator.prepare(module, *optimizers, *schedules)
        self._optimizers, self._schedules = prepared[: len(optimizers)], prepared[len(optimizers) :]
        self._ema = EMAModel(self._trainable(), decay=config.ema_decay)
        self._history = History(config)
        self._step, self._stop_requested = 0, False

    def run(self) -> OneStepTransformer | None:
        """Train to the end, from the newest state if there is one.

        Returns:
            the transformer with its averaged (EMA) weights, on the CPU; None on all processes but the first.

        Raises:
            InputError: the loss is not finite or explodes; the message names the step and the clips.
            StoppedError: a signal (SIGTERM, SIGUSR1, SIGINT) came; the state is saved.
        """
        self._resume()
        monitor = Monitor(
            self._accelerator,
            self._paths.monitor,
            config=self._config,
            step=self._step,
            settings=self._settings,
        )
        with on_signal(self._request_stop), monitor:
            for batches in self._batches():
                stop = self._advance(batches)
                last = self._step == self._config.iterations
                if last or self._step % self._config.log_every == 0:
                    rate = float(self._schedules[0].get_last_lr()[0])
                    monitor.log(self._history.report(self._step, rate), self._step)
                if last or self._step % self._config.validate_every == 0:
                    self._validate(monitor)
                if not last and (stop or self._step % self._config.checkpoint_every == 0):
                    self._save()
                if not last and stop:
                    raise StoppedError(
                        f"stopped by a signal after step {self._step}; run it again to resume from there"
                    )
        transformer = self._averaged()
        if self._accelerator.is_main_process:
            self._history.write(self._paths)
            self._states.finish()
        self._accelerator.wait_for_everyone()
        return transformer

    def _request_stop(self) -> None:
        self._stop_requested = True

    def _batches(self) -> Iterator[list[Batch]]:
        """The micro-batches of each step that is left, read ahead."""
        num_parts = self._accelerator.gradient_accumulation_steps
        loader: DataLoader[Batch] = DataLoader(
            _MicroBatches(self._stage, self._accelerator),
            batch_size=None,
            sampler=range(self._step * num_parts, self._config.iterations * num_parts),
            # What lies in the memory of a GPU is there for this process alone.
            num_workers=0 if self._config.in_memory else self._config.num_workers,
            worker_init_fn=ignore_signals,
        )
        batches: list[Batch] = []
        for batch in loader:
            batches.append(batch)
            if len(batches) == num_parts:
                yield batches
                batches = []

    def _advance(self, batches: list[Batch]) -> bool:
        """One step of the optimizer; returns whether any process is to stop.

        Raises:
            InputError: the loss is not finite or explodes; the weights are those of the step before.
        """
        stop = False
        sums: dict[str, Tensor] = {}
        for batch in batches:
            with self._accelerator.accumulate(self._model):
                with self._accelerator.autocast():
                    terms = self._stage.loss(self._model, batch.to(self._accelerator.device))
                self._accelerator.backward(terms["loss"])
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0) + value.detach().float() / len(batches)
                if self._accelerator.sync_gradients:
                    max_norm = self._config.max_grad_norm
                    norm = float(self._accelerator.clip_grad_norm_(self._trainable(), max_norm))
                    means, stop = self._agree(sums)
                    means["gradient_norm"] = norm
                    self._guard(means, float(sums["loss"]), batches)
                    self._history.add(means)
                for part in (*self._optimizers, *self._schedules):
                    part.step()
                for optimizer in self._optimizers:
                    optimizer.zero_grad()
        self._ema.step(self._trainable())
        self._step += 1
        return stop

    def _agree(self, sums: dict[str, Tensor]) -> tuple[dict[str, float], bool]:
        """The means over all processes, and whether one of them is to stop."""
        stop = self._stop_requested or self._paths.stop.exists()
        flag = torch.tensor(float(stop), device=self._accelerator.device)
        reduced = self._accelerator.reduce(torch.stack([*sums.values(), flag]), "mean").tolist()
        return dict(zip(sums, reduced[:-1], strict=True)), reduced[-1] > 0

    def _guard(self, means: dict[str, float], own_loss: float, batches: list[Batch]) -> None:
        """Check a step before the weights are changed.

        Args:
            means: means of the loss's terms over all processes, and the gradient's norm.
            own_loss: loss of this process, for the message.
            batches: samples of this process, for the message.

        Raises:
            InputError: something is not finite, or the loss explodes.
        """
        clips = ", ".join(clip for batch in batches for clip in batch.clip_ids)
        where = f"at step {self._step + 1} with the clips {clips}"
        advice = "lower learning_rate, or look at these clips"
        if not all(map(math.isfinite, means.values())):
            raise InputError(
                f"the loss is {own_loss} and the gradient's norm {means['gradient_norm']} {where} (process "
                f"{self._accelerator.process_index} of {self._accelerator.num_processes}); {advice}"
            )
        loss, ratio, usual = means["loss"], self._config.max_loss_ratio, self._history.usual_loss()
        if usual is not None and loss > ratio * usual:
            raise InputError(
                f"the loss of {loss:.4g} is more than {ratio:g} times (max_loss_ratio) its recent mean of "
                f"{usual:.4g} {where}; {advice}"
            )

    def _validate(self, monitor: Monitor) -> None:
        """Measure the averaged weights on the clips that are not trained on."""
        with self._averages(), torch.no_grad():
            self._model.eval()
            with self._accelerator.autocast():
                measures = monitor.validate(self._stage.examples(self._model), self._step)
            self._model.train()
        self._history.add_validation(self._step, measures)

    def _save(self) -> None:
        """Write the state."""
        weights = self._weights(_TRAINABLE)
        optimizer = get_optimizer_state_dict(self._model, self._bare_optimizers(), options=_TRAINABLE)
        with self._averages():
            averages = self._weights(_TRAINABLE)
        if self._accelerator.is_main_process:
            self._states.save(
                State(
                    step=self._step,
                    model=weights,
                    ema=averages,
                    optimizer=optimizer,
                    progress={
                        "schedules": [schedule.state_dict() for schedule in self._schedules],
                        "averaged": self._ema.optimization_step,
                        **self._history.state_dict(),
                    },
                    random={"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
                )
            )
        self._accelerator.wait_for_everyone()

    def _resume(self) -> None:
        """Resume from the newest state, if there is one."""
        state = self._states.newest()
        if state is None:
            return
        set_model_state_dict(self._model, dict(state.ema), options=_TRAINABLE)
        self._ema = EMAModel(self._trainable(), decay=self._config.ema_decay)
        self._ema.optimization_step = state.progress["averaged"]
        set_model_state_dict(self._model, dict(state.model), options=_TRAINABLE)
        set_optimizer_state_dict(self._model, self._bare_optimizers(), state.optimizer, options=_TRAINABLE)
        for schedule, progress in zip(self._schedules, state.progress["schedules"], strict=True):
            schedule.load_state_dict(progress)
        torch.set_rng_state(state.random["torch"])
        if torch.cuda.is_available() and len(state.random["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state.random["cuda"])
        self._history.load_state_dict(state.progress, state.step)
        self._step = state.step
        logger.info("resumed from %s at step %d", self._states.path, self._step)

    def _averaged(self) -> OneStepTransformer | None:
        """The transformer with the averaged weights on the CPU, in evaluation mode, on the first process."""
        with self._averages():
            weights = self._weights(_FULL)
        if not self._accelerator.is_main_process:
            return None
        transformer: OneStepTransformer = OneStepTransformer.from_config(self._transformer_config)
        if self._config.lora_rank:
            add_adapters(transformer, rank=self._config.lora_rank, seed=0)
        OneStepModule(transformer).load_state_dict(weights)
        if self._config.lora_rank:
            merge_adapters(transformer)
        transformer.eval()
        return transformer

    def _weights(self, options: StateDictOptions) -> dict[str, Tensor]:
        """A copy: on the CPU torch gives the parameters themselves, which are about to change."""
        weights = cast(dict[str, Tensor], get_model_state_dict(self._model, options=options))
        return {name: tensor.clone() for name, tensor in weights.items()}

    def _bare_optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimizers without accelerate's wrappers."""
        return [optimizer.optimizer for optimizer in self._optimizers]

    def _trainable(self) -> list[nn.Parameter]:
        return [parameter for parameter in self._model.parameters() if parameter.requires_grad]

    @contextmanager
    def _averages(self) -> Iterator[None]:
        """The model with its averaged weights for a while."""
        if not self._step:
            yield
            return
        self._ema.store(self._trainable())
        self._ema.copy_to(self._trainable())
        try:
            yield
        finally:
            self._ema.restore(self._trainable())


class _MicroBatches(Dataset[Batch]):
    """A process's micro-batches by their number over all steps, as a loader's workers make them."""

    def __init__(self, stage: Stage, accelerator: Accelerator) -> None:
        self._stage, self._rank = stage, accelerator.process_index
        self._num_parts, self._num_processes = (
            accelerator.gradient_accumulation_steps,
            accelerator.num_processes,
        )

    def __getitem__(self, number: int) -> Batch:
        step, part = divmod(number, self._num_parts)
        return self._stage.batch(
            step,
            part=part * self._num_processes + self._rank,
            num_parts=self._num_parts * self._num_processes,
        )
