"""medinv: classify medical images with networks that run backwards exactly. Research use, not for diagnosis."""

from importlib.metadata import version as _version
from typing import Any

__version__ = _version("medinv")


def __getattr__(name: str) -> Any:
    """`medinv.load`, fetched at first use: it brings torch, which `medinv --help` must not wait for."""
    if name == "load":
        from medinv.models.store import load

        return load
    raise AttributeError(f"module 'medinv' has no attribute {name!r}")
