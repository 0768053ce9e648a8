"""`medinv evaluate`: a model measured anew, on the images of its card or on a set of your own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medinv.cli.device import Device

if TYPE_CHECKING:
    from medinv.metrics import Estimate
    from medinv.training.evaluation import Evaluation, Group


def evaluate(
    model: Annotated[str, typer.Option("--model", "-m", help="Shipped model or model folder.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Set folder of `medinv prepare`. Default: the card's images."),
    ] = None,
    part: Annotated[
        str, typer.Option(help="Of the set: training, validation, test or all.")
    ] = "test",
    by: Annotated[
        str | None,
        typer.Option(
            help="Columns of the set that make subgroups, such as sex,age; - for none. Default: "
            "sex, age and manufacturer where the set has them."
        ),
    ] = None,
    bins: Annotated[
        list[str] | None,
        typer.Option(help="Where a column is cut, such as age=18,65; may be repeated."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Another model, compared on the same resampled patients.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="A class of the set under the model's name, such as cancer=malignant."
        ),
    ] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the numbers there.")] = None,
    device: Device = "cpu",
) -> None:
    """Measure a model on images with labels, with 95 % intervals by patient.

    Without --data: the test images of the model's configuration, held against its card; exit code
    1 if they differ. With --data: metrics of all images, of those in scope and of subgroups.
    """
    from medinv.errors import ConfigError

    if data is None:
        others = {"--by": by, "--bins": bins, "--against": against, "--map": map_, "--json": json_}
        if given := [name for name, value in others.items() if value] or (
            ["--part"] if part != "test" else []
        ):
            raise ConfigError(f"{', '.join(given)}: for a set of your own alone; name it by --data")
        raise typer.Exit(_against_card(model, device))

    from medinv.files import write_whole
    from medinv.models.store import load
    from medinv.training.evaluation import Request, evaluate_set

    columns = None if by is None else tuple(name for name in by.split(",") if name not in ("", "-"))
    edges = {name: _numbers(name, text) for name, text in _pairs("--bins", bins).items()}
    request = Request(data, part, columns, edges, _pairs("--map", map_))
    models = [load(name, device=device) for name in (model, against) if name]
    found = evaluate_set(request, *models, progress=lambda text: typer.echo(text, err=True))
    if json_ is not None:
        write_whole(json_, found.model_dump_json(indent=1).encode() + b"\n")
    _show(found)


def _against_card(model: str, device: str) -> int:
    """The exit code: 1 where a metric is not the card's."""
    from medinv.data.sets.load import load_images
    from medinv.models.store import load
    from medinv.training.measure import measure

    loaded = load(model, device=device)
    data = load_images(loaded.card.config.data, progress=lambda text: typer.echo(text, err=True))
    same_data = data.sha256() == loaded.card.data_sha256
    differs = False
    for name, estimate in measure(loaded, data.test).items():
        carded = loaded.card.metrics.get(name)  # one of an earlier version may lack some
        differs |= carded is not None and abs(carded.value - estimate.value) > 1e-6
        typer.echo(f"{name:18} {estimate}   card {f'{carded.value:.3f}' if carded else '-'}")
    typer.echo(
        f"images {'are' if same_data else 'are NOT'} those of the card. {loaded.card.disclaimer}"
    )
    return 1 if differs else 0


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    from medinv.errors import ConfigError

    pairs = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"{option}: expected NAME=VALUE; got {text!r}")
        pairs[name] = value
    return pairs


def _numbers(name: str, text: str) -> list[float]:
    from medinv.errors import ConfigError

    try:
        return [float(number) for number in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--bins {name}: expected numbers such as 18,65; got {text!r}") from error


def _show(found: "Evaluation") -> None:
    beside = f", less {found.against.name} on the same resamples" if found.against else ""
    typer.echo(
        f"{found.model.name} on {found.data}, {found.part}; 95 % intervals from "
        f"{found.resamples} resamples of whole patients{beside}"
    )
    for group in found.groups:
        where = f"{group.column} {group.value}".strip()
        counts = ", ".join(f"{count} {name}" for name, count in group.classes.items())
        typer.echo(f"\n{where}: {group.images} images of {group.patients} patients ({counts})")
        _show_metrics(group)
    if found.flagged is not None:
        typer.echo(f"\nflagged as out of scope  {found.flagged}")
    typer.echo(found.disclaimer)


def _show_metrics(group: "Group") -> None:
    if not group.metrics:
        typer.echo("  no metrics: they want patients of every class")
    for name, estimate in group.metrics.items():
        difference = group.difference.get(name)
        beside = "" if difference is None else f"   difference {_signed(difference)}"
        typer.echo(f"  {name:22} {estimate}{beside}")


def _signed(estimate: "Estimate") -> str:
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"
