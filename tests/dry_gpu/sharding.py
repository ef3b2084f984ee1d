"""FSDP among processes that are not there, on a GPU that is not there."""

from contextlib import ExitStack, contextmanager, nullcontext
from unittest.mock import MagicMock, patch

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.fsdp._fully_shard._fsdp_param_group import FSDPParamGroup
from torch.distributed.fsdp._fully_shard._fsdp_state import FSDPState
from torch.testing._internal.distributed.fake_pg import FakeStore

from benchmarks import dry_gpu

# What autograd's engine calls, and what is to be told there on which device tensors lie.
_HOOKS = [
    (FSDPParamGroup, "pre_backward"),
    (FSDPParamGroup, "post_backward"),
    (FSDPState, "_root_post_backward_final_callback"),
]


@contextmanager
def processes(num_processes):
    """A mesh of so many processes, whose collective operations return at once; this is the first."""
    dist.init_process_group("fake", rank=0, world_size=num_processes, store=FakeStore())
    answers = {"device_count": num_processes, "set_device": None, "is_initialized": True}
    try:
        with ExitStack() as stack:
            for name, answer in answers.items():
                stack.enter_context(patch.object(torch.cuda, name, lambda *_, answer=answer: answer))
            mesh = init_device_mesh("cuda", (num_processes,))
        yield mesh
    finally:
        dist.destroy_process_group()


@contextmanager
def streams(memory):
    """No streams nor events; storages that FSDP empties and fills again are counted."""
    resize = torch.UntypedStorage.resize_

    def resize_and_count(storage, size):
        before = storage.nbytes()
        resize(storage, size)
        memory.allocated += size - before
        memory.peak = max(memory.peak, memory.allocated)

    with ExitStack() as stack:
        for name in ("Stream", "Event", "current_stream"):
            stack.enter_context(patch.object(torch.cuda, name, MagicMock()))
        stack.enter_context(patch.object(torch.cuda, "stream", lambda _: nullcontext()))
        stack.enter_context(patch.object(torch.UntypedStorage, "resize_", resize_and_count))
        for owner, name in _HOOKS:
            stack.enter_context(patch.object(owner, name, _outside_the_engine(getattr(owner, name))))
        yield


def shard(module, mesh, policy):
    """Shard a module, and each block of its transformer, as accelerate does."""
    for block in module.transformer.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)


def _outside_the_engine(hook):
    def call(*args, **kwargs):
        with patch.object(dry_gpu._Calls, "in_engine", new=False):
            return hook(*args, **kwargs)

    return call
