"""The state of a run, so that an interrupted one goes on at the step where it stood.

Reading one runs no code from it.
"""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from medinv.config import Config
from medinv.errors import ModelError
from medinv.files import write_whole

FORMAT = 2
ADVICE = "remove it or name another output folder"


class Stateful(Protocol):
    """Anything with a state that can be saved: a network, an optimiser."""

    def state_dict(self) -> Any:
        """The state."""

    def load_state_dict(self, state: Any) -> Any:
        """Take it back."""


@dataclass
class Position:
    """Where a run stands: the record of the epochs done, and how far the next one is."""

    epochs: list[dict] = field(default_factory=list)
    step: int = 0
    losses: list[list[float | None]] = field(default_factory=list)  # cross-entropy, bits a pixel
    seconds: float = 0.0
    random: dict[str, Tensor] = field(default_factory=dict)  # states of generators
    planned: int = 0  # epochs of the configuration that it was written under


def identity(config: Config, data_sha256: str) -> str:
    """What a checkpoint belongs to: all that its weights depend on but the number of epochs."""
    train = config.train.model_copy(update={"epochs": 1})
    return f"{config.model_copy(update={'train': train}).sha256()} {data_sha256}"


def save(path: Path, parts: Mapping[str, Stateful], belongs: str, position: Position) -> None:
    """Write the parts' states and where the run stands. Raises OutputError."""
    state = {name: part.state_dict() for name, part in parts.items()}
    stream = io.BytesIO()
    torch.save({"format": FORMAT, "belongs": belongs, "position": vars(position), **state}, stream)
    write_whole(path, stream.getvalue())


def resume(path: Path, parts: Mapping[str, Stateful], belongs: str) -> Position:
    """Give the parts their states back; returns where the run stood, at its start without a file.

    Raises ModelError where the file is no checkpoint, one of an earlier version, or one of another
    configuration or other data.
    """
    if not path.is_file():
        return Position()
    state = _read(path)
    if state.get("format") != FORMAT:
        raise _refused(path, f"this checkpoint was written by another version of medinv; {ADVICE}")
    if state["belongs"] != belongs:
        raise _refused(
            path, f"this checkpoint belongs to another configuration or other images; {ADVICE}"
        )
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return Position(**state["position"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _refused(path, f"this checkpoint does not fit its network; {ADVICE}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise _refused(path, f"this is no checkpoint, or it is damaged; {ADVICE}") from error
    if not isinstance(state, dict):
        raise _refused(path, f"this is no checkpoint; {ADVICE}")
    return state


def _refused(path: Path, message: str) -> ModelError:
    return ModelError(message, path=path, stage="train")
