"""`medinv explain`: the arrays behind a report, for researchers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from medinv.cli.device import Device


def explain(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="DICOM files, pictures, folders or zips."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for one .npz and one .json an image.")
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="Shipped model or model folder.")],
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Also trace, evidence by depth, nearest cases, robustness, controls: "
            "seconds an image.",
        ),
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="Class that the one called is held against. Default: the next likely one.",
        ),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Write reconstruction, evidence and counterfactual of every image, with their residuals.

    Images out of scope are explained too; those of a model with a reference get local evidence.
    """
    import io
    import json

    import numpy as np

    from medinv.cli.inputs import network_inputs
    from medinv.data.frame import InputSpec, looked_at
    from medinv.errors import ConfigError
    from medinv.explanation.explain import Detail
    from medinv.explanation.explain import explain as explain_image
    from medinv.explanation.written import arrays, scalars
    from medinv.files import pseudonym, write_whole
    from medinv.models.store import load_invertible, read_card

    card = read_card(model)
    card.check_takes_studies()
    if target is not None and target not in card.classes:
        raise ConfigError(f"--target: expected one of {', '.join(card.classes)}; got {target!r}")
    loaded = load_invertible(model, device=device)
    if loaded.reference_missing:
        typer.echo(
            f"{loaded.reference_missing}: nearest cases and local evidence are left out", err=True
        )
    for frame, image in network_inputs(inputs, InputSpec.of(loaded.image_shape)):
        try:
            detail: Detail = "full" if full else "brief"
            explanation = explain_image(loaded, image, detail=detail, target=target)
        except ConfigError as error:  # it is called as the target itself
            typer.echo(f"left out: {frame.instance.source}: {error.message}", err=True)
            continue
        name, data = pseudonym(frame.instance.sop_uid, "image"), io.BytesIO()
        name += f"-frame-{frame.number}" if frame.number else ""
        pictures: dict[str, Any] = {"input": looked_at(image), **arrays(explanation)}
        np.savez_compressed(data, **pictures)
        write_whole(out / f"{name}.npz", data.getvalue())
        values = {
            "image": name,
            "model": loaded.card.name,
            "disclaimer": loaded.card.disclaimer,
            **scalars(explanation),
        }
        write_whole(out / f"{name}.json", json.dumps(values, indent=1).encode())
        typer.echo(f"{frame.instance.source}: {name}")
    typer.echo("Research use, not for diagnosis.")
