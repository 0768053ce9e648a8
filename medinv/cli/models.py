"""`medinv models`: what is shipped, and what the card of one says. Brings no torch."""

import json
from collections.abc import Iterator, Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from medinv.models.card import Card

SCHEMA = "medinv-models-1"
_MEASURES = (
    ("auc", "AUC"),
    ("accuracy", "accuracy"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
)
_INDENT = 15


def models(
    name: Annotated[
        str | None, typer.Argument(help="Say what this model's card says; a name or a folder.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="For programs: of every model its task, input rules, outputs, version, licence "
            "and hashes; of one model its whole card.",
        ),
    ] = False,
) -> None:
    """List the shipped models, or say what the card of one holds."""
    from medinv.models.shelf import read_card, shipped

    if name is not None:
        card = read_card(name)
        typer.echo(card.model_dump_json(indent=1) if as_json else "\n".join(_summary(card)))
        return
    cards = [read_card(each) for each in shipped()]
    if as_json:
        listed = {"schema": SCHEMA, "models": [described(card) for card in cards]}
        typer.echo(json.dumps(listed, indent=1))
        return
    for card in cards:
        measure, called = ("auc", "AUC") if len(card.classes) == 2 else ("accuracy", "accuracy")
        typer.echo(f"{card.name:18} {card.title}; test {called} {card.metrics[measure]}")
        typer.echo(f"{'':18} {_audit(card)}")
    typer.echo("Research use, not for diagnosis.")


def described(card: "Card") -> dict[str, Any]:
    """A model for programs: what it takes, what it says, and which it is."""
    channels, *size = card.config.image_shape
    point = card.operating_point
    return {
        "name": card.name,
        "title": card.title,
        "version": card.version,
        "task": card.task,
        "intended_use": card.intended_use,
        "takes_studies": card.invertible and (card.exactness is None or card.exactness.bits == 8),
        "input": {
            "channels": channels,
            "size": size,
            "bits": card.exactness.bits if card.exactness else None,
            "intake": card.intake,
            "rules": card.rules.model_dump(mode="json"),
        },
        "outputs": {
            "classes": card.classes,
            "positive": card.classes[1] if point else None,
            "operating_point": point.threshold if point else None,
            "aggregation": card.aggregation,
            "scope": card.scope.statistic if card.scope else None,
            "runs_backwards": card.invertible,
        },
        "metrics": {name: one.model_dump() for name, one in card.metrics.items()},
        "limits": card.limits,
        "not_tested": card.not_tested,
        "licence": "Apache-2.0",
        "data_licence": card.data_licence,
        "weights_sha256": card.weights_sha256,
        "config_sha256": card.config_sha256,
        "data_sha256": card.data_sha256,
        "parameters": card.parameters,
        "disclaimer": card.disclaimer,
    }


def _audit(card: "Card") -> str:
    from medinv.models.audited import NOT_AUDITED

    return card.audit.sentence if card.audit else NOT_AUDITED


def _robustness(card: "Card") -> str:
    from medinv.models.stored import NOT_MEASURED

    return card.robustness.sentence if card.robustness else NOT_MEASURED


def _summary(card: "Card") -> Iterator[str]:
    """What a person should know before using it, in lines."""
    yield f"{card.title} ({card.name}, version {card.version})"
    yield ""
    facts = {
        "task": card.task,
        "meant for": card.intended_use,
        "reads": _reads(card),
        "says": _says(card),
        "measured": _measured(card.metrics),
        "decides by": _audit(card),
        **({"features": _robustness(card)} if card.invertible else {}),
        "trained on": card.training_data,
        "data licence": card.data_licence,
    }
    for name, text in facts.items():
        yield _fact(name, text)
    for name, texts in (("limits", card.limits), ("not tested", card.not_tested)):
        for number, text in enumerate(texts):
            yield _fact("" if number else name, text)
    yield _fact("weights", f"SHA-256 {card.weights_sha256}")
    yield ""
    yield f"medinv models {card.name} --json prints the whole card. {card.disclaimer}"


def _reads(card: "Card") -> str:
    channels, *size = card.config.image_shape
    rules, chosen = card.rules, card.rules.selection
    kind = "a volume" if chosen.takes == "volume" else "images"
    parts = [f"{kind} of {' x '.join(map(str, size))}, {channels} channel{'s' * (channels > 1)}"]
    parts += [f"modalities {', '.join(rules.modalities)}"] if rules.modalities else []
    parts += [f"body parts {', '.join(rules.body_parts)}"] if rules.body_parts else []
    parts += [f"views {', '.join(chosen.views)}"] if chosen.views else []
    parts += [f"ages {chosen.age[0]:g} to {chosen.age[1]:g} years"] if chosen.age else []
    return "; ".join((*parts, card.intake))


def _says(card: "Card") -> str:
    said = ", ".join(card.classes)
    if card.operating_point:
        return (
            f"{said}; {card.classes[1]} from a probability of {card.operating_point.threshold:.3f}"
        )
    return said


def _measured(metrics: Mapping[str, Any]) -> str:
    known = [f"{called} {metrics[key]}" for key, called in _MEASURES if key in metrics]
    return f"on its own test images: {', '.join(known)}"


def _fact(name: str, text: str) -> str:
    return fill(text, 98, initial_indent=f"{name:{_INDENT}}", subsequent_indent=" " * _INDENT)
