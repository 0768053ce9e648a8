"""`medinv export`: a model for programs of others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medinv.export.facts import Written


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Shipped model or model folder.")],
    bundle: Annotated[
        Path | None,
        typer.Option(help="Folder for a MONAI bundle: configs/, models/model.pt, docs/, LICENSE."),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="File for ONNX in float32: image to logits, probabilities, scope and features; "
            "FILE-invert.onnx: features to image. Needs the extra medinv[export]."
        ),
    ] = None,
    torch_export: Annotated[
        Path | None,
        typer.Option(
            "--torch-export",
            help="File for torch.export in float64, such as model.pt2: the same; "
            "model-invert.pt2: features to image.",
        ),
    ] = None,
) -> None:
    """Write a model as a MONAI bundle, as ONNX or as a torch.export program.

    Programs are read back and compared with the model before they are kept. A bundle runs by
    `python -m monai.bundle run` and gives the numbers of `medinv classify`. Neither ONNX nor
    torch.export reads DICOM: their input is what the network is shown, grey levels 0 to 255.
    """
    from medinv.errors import ConfigError

    if not (bundle or onnx or torch_export):
        raise ConfigError("nothing to write: name --bundle DIR, --onnx FILE or --torch-export FILE")
    from medinv.models.store import load, read_card

    card = read_card(model)
    if bundle is not None:
        from medinv.export.bundle import write_bundle

        for path in write_bundle(model, bundle):
            typer.echo(str(path))
    if onnx is not None:
        from medinv.export.onnx import write_onnx

        _say(write_onnx(load(model), onnx, _word))
    if torch_export is not None:
        from medinv.export.torch_export import write_torch_export

        _say(write_torch_export(load(model), torch_export, _word))
    typer.echo(card.disclaimer)


def _word(text: str) -> None:
    typer.echo(f"  {text} ...", err=True)


def _say(written: "Written") -> None:
    for path in written.files:
        typer.echo(str(path))
    checked = written.checked
    back = "" if checked.image is None else f"; images come back to {checked.image:.2g} grey levels"
    typer.echo(f"  checked on three images: logits within {checked.logits:.2g}{back}")
    for word in written.words:
        typer.echo(f"  {word}")
