"""The state of a run after each epoch, so that an interrupted one goes on where it stood."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from medinv.config import Config
from medinv.errors import ModelError
from medinv.files import write_whole


class Stateful(Protocol):
    """Anything with a state that can be saved: a network, an optimiser."""

    def state_dict(self) -> Any:
        """The state."""

    def load_state_dict(self, state: Any) -> Any:
        """Take it back."""


def save(
    path: Path | None, parts: Mapping[str, Stateful], config: Config, epochs: list[dict]
) -> None:
    """Write the parts' states and the record of the epochs; nothing for None."""
    if path is None:
        return
    state = {name: part.state_dict() for name, part in parts.items()}
    stream = io.BytesIO()
    torch.save({"config": config.sha256(), "epochs": epochs, **state}, stream)
    write_whole(path, stream.getvalue())


def resume(path: Path | None, parts: Mapping[str, Stateful], config: Config) -> list[dict]:
    """Give the parts their states back; returns the record of the epochs done, none without a file.

    Raises ModelError where the checkpoint is of another configuration.
    """
    if path is None or not path.is_file():
        return []
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["config"] != config.sha256():
        raise ModelError(
            "this checkpoint belongs to another configuration; remove it or name another output "
            "folder",
            path=path,
            stage="train",
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    epochs: list[dict] = state["epochs"]
    return epochs
