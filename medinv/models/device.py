"""Where a network computes: a device by its name, refused where the machine has none like it."""

import re

import torch

from medinv.errors import DeviceError

CPU = "cpu"
_NAMED = re.compile(r"cpu|cuda(?::(\d+))?")


def device_named(name: str) -> torch.device:
    """`cpu`, `cuda` (the first of them) or `cuda:N`.

    Raises DeviceError, which names what is there, for another name and a device that is not there.

    >>> device_named("cpu")
    device(type='cpu')
    """
    found = _NAMED.fullmatch(name)
    if name == CPU:
        return torch.device(CPU)
    number = int(found[1] or 0) if found else -1
    if number not in range(_count()):
        raise DeviceError(f"expected --device {', '.join(_there())}; got {name!r}")
    return _cuda(number)


def described(device: torch.device) -> str:
    """For the record of a run: its name, and of a graphics processor the maker's."""
    if device.type != "cuda":
        return str(device)
    return f"{device}, {torch.cuda.get_device_name(device)}"


def _cuda(number: int) -> torch.device:
    return torch.device("cuda", number)


def _there() -> list[str]:
    """What the machine has, and why no more where torch sees no CUDA device."""
    if not _count():
        return [f"{CPU} (torch {torch.__version__} sees no CUDA device here)"]
    names = (f"cuda:{k} ({torch.cuda.get_device_name(k)})" for k in range(_count()))
    return [CPU, *names]


def _count() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
