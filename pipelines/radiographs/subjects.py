"""The models that are measured: shipped ones and folders by name, or a training that still runs,
from its checkpoint and configuration.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medinv.audit import subject as audit
from medinv.config import Config, load_config
from medinv.data.sets.labelled import LabelledImages
from medinv.data.sets.load import load_images
from medinv.models.build import build, kind_of
from medinv.models.density import Classifier
from medinv.models.depths import mean_states
from medinv.models.folder import CARD
from medinv.models.store import load
from medinv.training.calibrate import calibrate
from pipelines.record import commit


@dataclass(frozen=True)
class Subject:
    """A model with its own films, and the mean states that its local evidence is told against."""

    name: str
    model: Classifier
    config: Config
    data: LabelledImages
    states: dict[str, Tensor]

    @property
    def asked(self) -> audit.Subject:
        """As an audit asks it."""
        scope = kind_of(self.config.model).scope
        return audit.Subject(self.model, scope(self.model) if scope else None, self.states)

    def odds(self, images: Tensor) -> np.ndarray:
        """Calibrated log-odds of pneumonia (N,), less those from which it is called."""
        return self.asked.answers(images).scores

    def flagged(self, images: Tensor) -> np.ndarray:
        """Which images (N,) lie out of scope."""
        return self.asked.answers(images).flagged

    def maps(self, images: Tensor) -> np.ndarray:
        """Local evidence for pneumonia (N, h, w)."""
        return self.asked.maps(images, np.ones(len(images)), images[0])

    def kept_in(self, folder: Path, what: str) -> Path | None:
        """Where rows of this model are kept, by its weights and by the commit of what measures
        them; None for a training under way.
        """
        card = getattr(self.model, "card", None)
        return folder / f"{what}-{card.weights_sha256[:12]}-{commit()}.json" if card else None


def subject(name: str, config: str, depths: tuple[str, ...] = ()) -> Subject:
    """A shipped model or folder; without a card there, the training of `config` as far as its
    checkpoint goes, calibrated on validation films.
    """
    if (Path(name) / "checkpoint.pt").is_file() and not (Path(name) / CARD).is_file():
        settings = load_config(config)
        data = load_images(settings.data)
        model = under_way(Path(name), settings, data)
        depths = depths or (settings.reference.depths if settings.reference else ())
    else:
        model = load(name, Classifier, dtype=torch.float32)
        settings = model.card.config
        data = load_images(settings.data)
    states = _states(model, data, depths) if depths else model.reference.states
    return Subject(name, model, settings, data, states)


def _states(model: Classifier, data: LabelledImages, depths: tuple[str, ...]) -> dict[str, Tensor]:
    normal = torch.from_numpy(data.train.images[data.train.labels == 0]).float()
    return mean_states(model.trunk, normal.split(32), depths)


def under_way(folder: Path, config: Config, data: LabelledImages) -> Classifier:
    """The averaged weights of a checkpoint, calibrated."""
    state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    model = build(config)
    prefix = "module."
    averaged = {
        k.removeprefix(prefix): v for k, v in state["average"].items() if k.startswith(prefix)
    }
    model.load_state_dict(averaged)
    model.float().eval()
    calibrate(model, config, data)
    return model
