"""A GPU without a GPU: tensors without values on `cuda`, and a count of the bytes that they would take.

torch's FakeTensorMode runs every operation on shapes, types and devices alone, so that a clip of the paper's
size takes no memory and next to no time, and a tensor on the wrong device is refused as a GPU refuses it;
what it lets pass, a product of two types, is refused here. torch's own MemTracker counts neither frozen
weights nor a module that is called twice.

What is counted are the results of operations, in the blocks that torch's allocator makes of them: what
`torch.cuda.max_memory_allocated` says, less the scratch memory inside of a kernel (cuDNN's, cuBLAS's).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch._C import DispatchKey
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd import graph
from torch.distributed.tensor import DTensor
from torch.nn import functional as F
from torch.optim import optimizer
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils, backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# The allocator's smallest block, bytes.
_BLOCK = 512
# The widest head that the flash attention kernel takes.
_FLASH_HEAD = 256
_ATEN = torch.ops.aten
# What gives the CPU a number; and those, or a truth.
_NUMBERS = {_ATEN._local_scalar_dense.default, _ATEN.item.default}
_VALUES = {*_NUMBERS, _ATEN.is_nonzero.default, _ATEN.equal.default}
# What takes floats of one type alone, all of them.
_OF_ONE_TYPE = {
    _ATEN.mm.default,
    _ATEN.addmm.default,
    _ATEN.bmm.default,
    _ATEN.baddbmm.default,
    _ATEN.native_layer_norm.default,
    _ATEN.native_group_norm.default,
}
# numpy's types; bfloat16 has none.
_NUMPY: dict[torch.dtype, type[np.generic]] = {
    torch.bool: np.bool_,
    torch.uint8: np.uint8,
    torch.uint16: np.uint16,
    torch.int32: np.int32,
    torch.int64: np.int64,
    torch.float16: np.float16,
    torch.float32: np.float32,
    torch.float64: np.float64,
}
# What torch.cuda answers.
_CUDA: dict[str, object] = {
    "is_available": True,
    "is_bf16_supported": True,
    "device_count": 1,
    "current_device": 0,
    "get_device_capability": (9, 0),
    "set_device": None,
    "synchronize": None,
    "empty_cache": None,
}

_Args = tuple[Any, ...]
_Kwargs = Mapping[str, Any] | None


@contextmanager
def dry_gpu() -> Iterator[GpuMemory]:
    """Let torch believe in a GPU, on which everything that runs inside is counted.

    Tensors and models must be made inside. They have no values: a number that the CPU asks of one is 1, a
    truth is false, an array that is made of one holds zeros, a mask chooses nothing. Other operations are
    refused whose result's shape depends on values.

    Yields:
        the memory of the GPU.
    """
    memory, calls, mode = GpuMemory(), _Calls(), _DryMode(allow_non_fake_inputs=True)
    with ExitStack() as stack:

        def replace(place: object, name: str, value: object) -> None:
            stack.enter_context(patch.object(place, name, value))

        if not torch.cuda.is_available():
            _register_absent_accelerator()
            engine = calls.around(graph._engine_run_backward)
            replace(torch.autograd, "_engine_run_backward", engine)
        for name, answer in _CUDA.items():
            replace(torch.cuda, name, lambda *_, answer=answer, **__: answer)
        # Optimizers and the norm of gradients work on all weights at once on a GPU, in more memory.
        for module in (optimizer, _foreach_utils):
            replace(module, "_foreach_supported_types", [*module._foreach_supported_types, FakeTensor])
        replace(fake_tensor, "init_gpu_context", lambda _: None)
        replace(torch.utils, "swap_tensors", _swap_of(mode))
        # Threads of autograd's own would know none of these modes.
        stack.enter_context(torch.autograd.set_multithreading_enabled(mode=False))
        for inner in (mode, memory, calls):
            stack.enter_context(inner)
        yield memory


class GpuMemory(TorchDispatchMode):
    """Counts the bytes of the tensors on `cuda` that are alive.

    Attributes:
        allocated: number of bytes that are taken.
        peak: largest number of bytes that were taken at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.allocated = self.peak = 0
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def reset_peak(self) -> None:
        """Begin to watch the peak anew."""
        self.peak = self.allocated

    def __torch_dispatch__(self, func: Any, types: Any, args: _Args = (), kwargs: _Kwargs = None) -> Any:
        """Run an operation, and count what it makes."""
        if any(issubclass(kind, DTensor) for kind in types):
            # Its operations on this process's part follow.
            return NotImplemented
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default and _Calls.in_engine:
            return torch.device("meta")
        if func in _VALUES:
            return func in _NUMBERS and args[0].dtype != torch.bool
        # In inference mode operations come whole that are made of others.
        if _is_composite(func):
            with self:
                # As its own kernel makes it; `decompose` may take another way, in more memory.
                return func._op_dk(DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        if func is _ATEN.masked_select.default:
            func, args = _ATEN.new_empty.default, (args[0], (0,))
        if func in _OF_ONE_TYPE:
            _check_types(func, args)
        if func is _ATEN.index.Tensor:
            args = (args[0], _without_masks(args[1]))
        if _Calls.in_engine and kwargs.get("device") == torch.device("meta"):
            # The engine makes it where it was told that the others lie.
            kwargs = {**kwargs, "device": torch.device("cuda", 0)}
        result = func(*args, **kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, FakeTensor) and leaf.fake_device.type == "cuda":
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._alive:
            return
        size = -(-storage.nbytes() // _BLOCK) * _BLOCK

        def free(_: object) -> None:
            del self._alive[key]
            self.allocated -= size

        self._alive[key] = weakref.ref(storage, free)
        self.allocated += size
        self.peak = max(self.peak, self.allocated)


class _DryMode(FakeTensorMode):
    """Fake tensors on a GPU that torch believes in, on which nothing is initialised."""

    @property
    def avoid_device_init(self) -> bool:
        return True


class _Calls(TorchFunctionMode):
    """What Python code asks of torch: attention as a GPU computes it, and arrays.

    Without a GPU autograd's engine fails at its streams, unless tensors say that they lie on no device; but
    the code that the engine calls, as a checkpoint does, is told the truth.
    """

    in_engine = False

    def around(self, engine: Callable[..., Any]) -> Callable[..., Any]:
        """Autograd's engine, whose calls are in this mode too."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self, patch.object(_Calls, "in_engine", new=True):
                return engine(*args, **kwargs)

        return run

    def __torch_function__(self, func: Any, types: Any, args: _Args = (), kwargs: _Kwargs = None) -> Any:
        """Run a function of torch."""
        before, _Calls.in_engine = _Calls.in_engine, False
        try:
            if func is F.scaled_dot_product_attention:
                return _attention(*args, **(kwargs or {}))
            if func in (Tensor.numpy, Tensor.__array__):
                return _to_numpy(args[0])
            return func(*args, **(kwargs or {}))
        finally:
            _Calls.in_engine = before


def _attention(  # noqa: PLR0917
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,  # noqa: FBT001, FBT002
    scale: float | None = None,
    enable_gqa: bool = False,  # noqa: FBT001, FBT002
) -> Tensor:
    """Attention by the fused kernel that an A100 and its successors take.

    Without a GPU torch would take the one that keeps the whole matrix of weights.
    """
    if not query.is_cuda or enable_gqa:
        raise NotImplementedError("attention on the CPU or of grouped queries in a dry run")
    if attn_mask is None and query.dtype != torch.float32 and query.shape[-1] <= _FLASH_HEAD:
        flash = _ATEN._scaled_dot_product_flash_attention
        attended: Tensor = flash(query, key, value, dropout_p, is_causal, scale=scale)[0]
        return attended
    mask = None if attn_mask is None else attn_mask.expand(*query.shape[:-1], key.shape[-2])
    efficient = _ATEN._scaled_dot_product_efficient_attention
    attended = efficient(query, key, value, mask, query.requires_grad, dropout_p, is_causal, scale=scale)[0]
    return attended


@cache
def _is_composite(func: Any) -> bool:
    composite = "CompositeImplicitAutograd"
    return func.namespace != "prim" and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), composite)


def _check_types(func: Any, args: _Args) -> None:
    tensors = [value for value in args if isinstance(value, Tensor)]
    if len(types := {tensor.dtype for tensor in tensors}) > 1:
        raise RuntimeError(f"{func}: expected tensors of one type, but got {sorted(map(str, types))}")


def _without_masks(indices: list[Tensor | None]) -> list[Tensor | None]:
    """Indices in which a mask, whose choice depends on its values, chooses nothing."""
    chosen: list[Tensor | None] = []
    for index in indices:
        if index is None or index.dtype != torch.bool:
            chosen.append(index)
        else:
            chosen += [torch.empty(0, dtype=torch.long, device=index.device)] * index.ndim
    return chosen


def _to_numpy(tensor: Tensor) -> np.ndarray:
    """Zeros, where torch makes an array; its errors, where it makes none."""
    if tensor.is_cuda:
        raise TypeError("can't convert cuda:0 device type tensor to numpy: copy it to the CPU first")
    if tensor.requires_grad:
        raise RuntimeError("can't call numpy() on a tensor that requires grad; use tensor.detach().numpy()")
    if tensor.dtype not in _NUMPY:
        raise TypeError(f"got unsupported ScalarType {tensor.dtype}")
    return np.zeros(tuple(tensor.shape), _NUMPY[tensor.dtype])


def _swap_of(mode: FakeTensorMode) -> Callable[[Tensor, Tensor], None]:
    """The swap by which a module's weights move; torch refuses one that the mode's memory refers to."""
    original = torch.utils.swap_tensors

    def swap(one: Tensor, other: Tensor) -> None:
        mode.fake_tensor_converter.tensor_memo.clear()
        original(one, other)

    return swap


@cache
def _register_absent_accelerator() -> None:
    """Register an accelerator that is not there, once: torch then asks no driver for its contexts."""
    backend_registration._setup_privateuseone_for_python_backend("dry", _AbsentModule(), _AbsentHook())


class _AbsentModule(backend_registration._DummyBackendModule):
    def is_initialized(self) -> bool:
        return False

    def is_available(self) -> bool:
        return False

    def device_count(self) -> int:
        return 0


class _AbsentHook(backend_registration._DummyPrivateUse1Hook):
    def is_available(self) -> bool:
        return False

    def has_primary_context(self, dev_id: int) -> bool:
        return False
