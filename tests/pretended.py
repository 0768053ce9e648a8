"""A device that computes on the processor and behaves as another one: its tensors do not mix with
those of the processor, and give no array before they were brought back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("pretended", _Backend())
DEVICE = torch.device("pretended", 0)
NAME = "Pretended Processor"
_CROSSING = {"to", "_to_copy", "copy_", "index", "index_put_"}  # real ones take two devices too


class Elsewhere(Tensor):
    """Values on the processor under the name of the device."""

    held: Tensor
    is_cuda = property(lambda self: True)  # type: ignore[assignment]

    def tolist(self) -> Any:
        return self.held.tolist()

    @staticmethod
    def __new__(cls, held: Tensor) -> "Elsewhere":
        made = Tensor._make_wrapper_subclass(
            cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype, device=DEVICE
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """What makes tensors of nothing, such as torch.zeros(device="cuda")."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: tuple, kwargs: dict) -> Any:
    """On the processor; what comes out is on the device that was named, else on that of `args`."""
    flat = tree_flatten((args, kwargs))[0]
    tensors = [one for one in flat if isinstance(one, Tensor)]
    away = [one for one in tensors if isinstance(one, Elsewhere)]
    name = func.__name__.split(".")[0]
    if (
        away
        and name not in _CROSSING
        and any(one.ndim and not isinstance(one, Elsewhere) for one in tensors)
    ):
        raise RuntimeError(f"tensors of two devices in {func}")
    named = next((one for one in flat if isinstance(one, torch.device)), None)
    other = isinstance(args[1], Elsewhere) if str(func) == "aten.to.other" else bool(away)
    there = other if named is None else named.type == DEVICE.type
    result = func(*tree_map(_here, args), **tree_map(_here, kwargs))
    if name.endswith("_") and isinstance(args[0], Elsewhere):  # in place
        return args[0]
    return tree_map(lambda one: _away(one) if there and isinstance(one, Tensor) else one, result)


def _away(one: Tensor) -> Elsewhere:
    with torch.inference_mode(False):  # in which no wrapper can be made
        return Elsewhere(one)


def _here(one: Any) -> Any:
    if isinstance(one, torch.device):
        return torch.device("cpu")
    return one.held if isinstance(one, Elsewhere) else one


@contextmanager
def pretended(monkeypatch: Any) -> Iterator[None]:
    """`cuda:0` as a command names it is this device while the block runs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: NAME)
    monkeypatch.setattr("medinv.models.device._cuda", lambda number: DEVICE)
    with _Factories():
        yield
