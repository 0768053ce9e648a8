"""`medinv models`: what is shipped, and the card of one."""

from typing import Annotated

import typer


def models(
    name: Annotated[str | None, typer.Argument(help="Print this model's card as JSON.")] = None,
) -> None:
    """List the shipped models, or print the card of one."""
    from medinv.models.audited import NOT_AUDITED
    from medinv.models.store import read_card, shipped

    if name is not None:
        typer.echo(read_card(name).model_dump_json(indent=1))
        return
    for each in shipped():
        card = read_card(each)
        name, measure = ("AUC", "auc") if len(card.classes) == 2 else ("accuracy", "accuracy")
        typer.echo(f"{each:18} {card.title}; test {name} {card.metrics[measure]}")
        typer.echo(f"{'':18} {card.audit.sentence if card.audit else NOT_AUDITED}")
    typer.echo("Research use, not for diagnosis.")
