"""What a report says of the model, taken from its card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from medinv.report.measured import Interval, measured
from medinv.report.uncertainty import Observed, observed_shares


class CardLike(Protocol):
    """The model card (`medinv.models.store.Card`): any pydantic model with the card's fields."""

    def model_dump(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class OperatingPoint:
    threshold: float  # calibrated probability of the positive class
    chosen_on: str
    sensitivity: Interval | None
    specificity: Interval | None


@dataclass(frozen=True)
class ModelFacts:
    """The model card's facts that a reader of one result needs."""

    name: str
    title: str
    version: str
    classes: tuple[str, ...]
    task: str
    intended_use: str
    training_data: str
    data_licence: str
    metrics: tuple[tuple[str, Interval], ...]
    operating_point: OperatingPoint | None
    limits: tuple[str, ...]
    not_tested: tuple[str, ...]
    calibration: Mapping[str, Any]
    observed: tuple[Observed, ...]  # shares of positives among test images, by their probability
    intake: str | Mapping[str, Any]
    scope: Mapping[str, Any] | None
    exactness: Mapping[str, Any] | None  # of the round trip, over the test images
    splits: Mapping[str, Any]
    subgroups: Mapping[str, Any] | None  # performance by subgroup; None where none is known
    hashes: tuple[tuple[str, str], ...]
    origin: tuple[tuple[str, Any], ...]  # how the weights came to be: seed, command, ...

    @property
    def calibration_fit(self) -> Mapping[str, Any]:
        """The calibration without its tables, which are told by themselves."""
        return {
            key: value
            for key, value in self.calibration.items()
            if key not in ("interval", "observed")
        }


def model_facts(model_card: CardLike, used_sha256: str | None) -> ModelFacts:
    """The facts of a card; used_sha256: the hash of the weights that gave the result, which goes before the card's."""
    card = model_card.model_dump()
    point = card.get("operating_point")
    hashes = {"weights_sha256": used_sha256 or card.get("weights_sha256")} | {
        key: card.get(key) for key in ("config_sha256", "data_sha256")
    }
    origin = (
        "parameters",
        "convolutions",
        "largest_condition_number",
        "command",
        "commit",
        "seed",
        "device",
        "seconds",
    )
    return ModelFacts(
        name=card["name"],
        title=card["title"],
        version=str(card["version"]),
        classes=tuple(card["classes"]),
        task=card["task"],
        intended_use=card["intended_use"],
        training_data=card["training_data"],
        data_licence=card["data_licence"],
        metrics=tuple(
            (name, measured(value)) for name, value in card["metrics"].items() if value is not None
        ),
        operating_point=point
        and OperatingPoint(
            point["threshold"],
            str(point["chosen_on"]),
            measured(point.get("sensitivity")),
            measured(point.get("specificity")),
        ),
        limits=tuple(card["limits"]),
        not_tested=tuple(card["not_tested"]),
        calibration=card["calibration"],
        observed=observed_shares(card["calibration"]),
        intake=card["intake"],
        scope=card.get("scope"),
        exactness=card.get("exactness"),
        splits=card["splits"],
        subgroups=card.get("subgroups"),
        hashes=tuple((key, str(value)) for key, value in hashes.items() if value),
        origin=tuple((key, card[key]) for key in origin if card.get(key) is not None),
    )
