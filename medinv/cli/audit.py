"""`medinv audit`: what a model decides by."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medinv.cli.device import Device

if TYPE_CHECKING:
    from medinv.audit.run import Request
    from medinv.data.sets.labelled import LabelledImages
    from medinv.models.card import Card


def audit(
    model: Annotated[str, typer.Argument(help="Shipped model or model folder.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A data set folder of `medinv prepare`; default: its own."),
    ] = None,
    part: Annotated[
        Literal["validation", "test"], typer.Option("--part", help="Which of its images.")
    ] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for audit.html and audit.json.")
    ] = None,
    region: Annotated[
        Literal["auto", "masks", "lungs", "none"],
        typer.Option("--region", help="What should decide: the set's masks, estimated lungs."),
    ] = "auto",
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer images: a minute, with wider intervals.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn.")] = 0,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the verdict in the model's card, for reports.")
    ] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show images of the data set.")
    ] = True,
    device: Device = "cpu",
) -> None:
    """Measure what a model decides by: its region, what surrounds it, or the border of its images.

    Prints the verdict; with --out writes a page with pictures and every figure with its interval.
    """
    import torch

    from medinv.audit.run import audit as measure
    from medinv.files import write_whole
    from medinv.models.store import keep_audit, load
    from medinv.report.audit import render_audit

    loaded = load(model, dtype=torch.float32, device=device)
    images, source, chests = _images(loaded.card, data)
    if keep and data is None and loaded.layout is None:
        _keep_layout(model, images)
        loaded = load(model, dtype=torch.float32, device=device)
    request = _request(part, region, quick, seed)
    found, examples = measure(
        loaded,
        images,
        request.of(source, own=data is None, chests=chests, pictures=pictures and out is not None),
        progress=lambda text: typer.echo(f"  {text}", err=True),
    )
    typer.echo(found.verdict.sentence)
    for caution in found.verdict.cautions:
        typer.echo(f"- {caution}")
    for line in found.left_out:
        typer.echo(f"Not measured: {line}.")
    card = keep_audit(model, found.summary()) if keep else loaded.card
    if out is not None:
        tree = found.model_dump_json(indent=1, by_alias=True)
        write_whole(out / "audit.json", tree.encode() + b"\n")
        page = write_whole(out / "audit.html", render_audit(found, card, examples))
        typer.echo(f"{page}")
    typer.echo(f"{found.seconds:.0f} s. {found.disclaimer}")


def _keep_layout(model: str, images: "LabelledImages") -> None:
    """Give a model of an earlier version what newer ones are published with."""
    from medinv.models.layout import fit_layout
    from medinv.models.store import keep_layout

    typer.echo("  how images stand", err=True)
    layout = fit_layout(images.train.images, images.validation.images)
    if layout is not None:
        keep_layout(model, layout)


def _request(
    part: Literal["validation", "test"],
    region: Literal["auto", "masks", "lungs", "none"],
    quick: bool,
    seed: int,
) -> "Request":
    from medinv.audit.run import Request

    return Request(part=part, region=region, quick=quick, seed=seed)


def _images(card: "Card", folder: Path | None) -> "tuple[LabelledImages, str, bool]":
    """The images, in words where they come from, and whether they are films of the chest."""
    from medinv.data.sets.load import load_images, source_of
    from medinv.data.sets.prepared import read_set

    composed = card.config.train.compose is not None
    if folder is not None:
        found = read_set(folder)
        images = found.data.relabelled(found.info.classes, card.classes)
        images.check(card.config.image_shape, card.classes)
        return images, f"the data set {found.info.name}", composed
    config = card.config.data
    images = load_images(config, progress=lambda text: typer.echo(f"  {text}", err=True))
    images.check(card.config.image_shape, card.classes)
    return images, "the model's own images", composed or source_of(config).region == "lungs"
