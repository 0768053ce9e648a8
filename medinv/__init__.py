"""medinv: classify medical images with networks that run backwards exactly.

    model = medinv.load("phantom-opacity")
    for result in medinv.classify("sample_data/studies", model):
        print(result.study_uid, result.outcome)

Research use, not for diagnosis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from medinv.batch.run import classify
    from medinv.explanation.explain import explain
    from medinv.models.store import load

__all__ = ["__version__", "classify", "explain", "load"]

_PLACES = {
    "classify": "medinv.batch.run",
    "explain": "medinv.explanation.explain",
    "load": "medinv.models.store",
}


def __getattr__(name: str) -> Any:
    """What `__all__` names, fetched at first use.

    It brings torch, which `medinv --help` must not wait for, and the version from the package's
    metadata, which processes that read files do not need.
    """
    if name == "__version__":
        return import_module("importlib.metadata").version("medinv")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'medinv' has no attribute {name!r}")
