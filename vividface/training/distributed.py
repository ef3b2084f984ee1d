"""How processes share a training, through accelerate, and its optimizer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DataLoaderConfiguration,
    DistributedDataParallelKwargs,
    FullyShardedDataParallelPlugin,
)
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy

from vividface.errors import InputError
from vividface.training.base import StageConfig

# Muon's own defaults, stated so that a new release of torch changes no training.
_MUON_MOMENTUM = 0.95
_MUON_STEPS = 5


def num_micro_batches(config: StageConfig, *, num_processes: int) -> int:
    """The number of parts in which a process computes its share of a step's batch, none above `micro_batch`.

    Args:
        config: hyper-parameters of the stage, with `batch_size` and `micro_batch`.
        num_processes: number of processes that share a step's batch.

    Raises:
        InputError: the batch cannot be shared equally.
    """
    share, rest = divmod(config.batch_size, num_processes)
    if rest:
        raise InputError(
            f"batch_size: {config.batch_size} samples cannot be shared equally by {num_processes} processes; "
            "ask for another number of GPUs"
        )
    return next(n for n in range(1, share + 1) if share % n == 0 and share // n <= config.micro_batch)


def make_accelerator(config: StageConfig) -> Accelerator:
    """The accelerator of this process's part of a training.

    Raises:
        InputError: the batch cannot be shared, or FSDP is asked for without GPUs.
    """
    plugin = None
    if config.strategy == "fsdp":
        if not torch.cuda.is_available():
            raise InputError("strategy: fsdp needs GPUs; use ddp")
        plugin = fsdp_plugin(config)
    accelerator = Accelerator(
        mixed_precision=config.precision,
        fsdp_plugin=plugin,
        # Gradients lie in the buckets in which they are exchanged, instead of beside them.
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
        # The batch is that of all processes, so the schedule advances by one step of all of them.
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    accelerator.gradient_accumulation_steps = num_micro_batches(
        config, num_processes=accelerator.num_processes
    )
    return accelerator


def fsdp_plugin(config: StageConfig) -> FullyShardedDataParallelPlugin:
    """What FSDP shards, and in which types it computes.

    Eq. 3's z_l and its sum with the change stay in float32, and gradients are summed up in it, as in DDP.

    Args:
        config: hyper-parameters of the stage, with `precision`.
    """
    policy = None
    if config.precision == "bf16":
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16,
            reduce_dtype=torch.float32,
            output_dtype=torch.float32,
            cast_forward_inputs=False,
        )
    return FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=["WanTransformerBlock"],
        state_dict_type="FULL_STATE_DICT",
        mixed_precision_policy=policy,
    )


def make_optimizers(config: StageConfig, module: nn.Module) -> list[torch.optim.Optimizer]:
    """The optimizers of a module's trainable weights.

    Args:
        config: hyper-parameters of the stage.
        module: module whose blocks' matrices Muon takes.

    Returns:
        AdamW, with states of 32 bits or, `adamw_8bit`, of eight; or, `muon`, Muon (Jordan et al., 2024) of
        the matrices in the transformer's blocks, whose step is scaled to AdamW's size (Liu et al., 2025),
        and AdamW of all other weights.

    Raises:
        InputError: Muon is asked for with FSDP, which leaves no process a whole matrix.
    """
    trainable = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "adamw_8bit":
        from bitsandbytes.optim.adamw import AdamW8bit

        build: Callable[..., torch.optim.Optimizer] = AdamW8bit
        return [build(trainable.values(), lr=rate, weight_decay=decay)]
    if config.optimizer == "adamw":
        return [torch.optim.AdamW(trainable.values(), lr=rate, weight_decay=decay)]
    if config.strategy == "fsdp":
        raise InputError(
            "optimizer: muon needs whole matrices, which fsdp cuts up; use strategy ddp, or adamw"
        )
    matrices = [weight for name, weight in trainable.items() if ".blocks." in name and weight.ndim == 2]
    taken = {id(weight) for weight in matrices}
    muon = torch.optim.Muon(
        matrices,
        lr=rate,
        weight_decay=decay,
        momentum=_MUON_MOMENTUM,
        ns_steps=_MUON_STEPS,
        adjust_lr_fn="match_rms_adamw",
    )
    rest = [weight for weight in trainable.values() if id(weight) not in taken]
    return [muon, torch.optim.AdamW(rest, lr=rate, weight_decay=decay)]
