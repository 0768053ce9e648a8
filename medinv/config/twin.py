"""The ordinary network that an invertible one is to be compared with: same data, same budget."""

from typing import Any

from medinv.config import Config, ModelConfig
from medinv.errors import ConfigError


def twin_of(config: Config) -> Config:
    """The configuration of the ordinary counterpart.

    Widths, data, epochs and every setting of the recipe that an ordinary network has are the same.
    Raises ConfigError where the kind of model has no counterpart.
    """
    kind = config.model.twin
    if kind is None:
        raise ConfigError(
            f"--twin: a model of kind {config.model.kind} has no ordinary counterpart; an "
            "invertible one has"
        )
    network = ModelConfig.known()[kind]
    tree = config.model_dump(mode="json")
    tree["name"] = f"{config.name[:59]}-twin"
    tree["model"] = {**_known(network.model_fields, tree["model"]), "kind": kind}
    tree["train"] = _known(network.recipe.model_fields, tree["train"])
    tree["reference"] = None
    tree["card"]["title"] = f"Ordinary twin of {config.name}, for comparison"
    tree["card"]["intended_use"] = "Comparison with the invertible network. Not for diagnosis."
    return Config.model_validate(tree)


def _known(fields: Any, section: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name in fields}
