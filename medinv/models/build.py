"""From a configuration to a network: every kind of model there is."""

from typing import Any

from medinv.config import Config, ModelConfig
from medinv.models.base import Calibrated, Kind, ScopeScore
from medinv.models.baselines import FLAT, RESNET18
from medinv.models.density import DENSITY, DENSITY_TWIN
from medinv.models.pooled import POOLED, POOLED_TWIN

KINDS: tuple[Kind[Any, Any], ...] = (DENSITY, DENSITY_TWIN, POOLED, POOLED_TWIN, RESNET18, FLAT)


def kind_of(model: ModelConfig) -> Kind[Any, Any]:
    """The kind whose settings these are."""
    return next(kind for kind in KINDS if type(model) is kind.config)


def build(config: Config) -> Calibrated:
    """The untrained network of a configuration; weights drawn from torch's global generator."""
    network: Calibrated = kind_of(config.model).build(config.model, config.image_shape)
    network.ordered = config.model.ordered
    return network


def scope_of(network: Calibrated, model: ModelConfig) -> ScopeScore | None:
    """The scope of a network of these settings; None where its kind has none or none was fitted."""
    scope = kind_of(model).scope
    made = None if scope is None else scope(network)
    return made if made is not None and made.threshold > 0 else None
