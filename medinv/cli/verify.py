"""`medinv verify`: the round-trip certificate of a model."""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    inputs: Annotated[list[Path] | None, typer.Argument(metavar="[INPUT...]", help="DICOM files, folders or zips. Default: the model's test images.")] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Shipped model or model folder.")] = "chest-xray",
) -> None:
    """Certify that the features of every image decode back to every pixel. Exit code 0 if all do, 1 if not."""
    import numpy as np

    from medinv.cli.inputs import network_inputs
    from medinv.data.load import load_images
    from medinv.errors import ConfigError
    from medinv.models.store import load
    from medinv.publish import condition_numbers, exactness

    loaded = load(model)
    if loaded.card.scope is None:
        raise ConfigError(f"{loaded.card.name} is an ordinary network: it cannot run backwards; choose an invertible model")
    size = loaded.image_shape[1]
    images = np.stack([x for _, x in network_inputs(inputs, size)]) if inputs else load_images(loaded.card.config.data).test.images
    found, numbers = exactness(loaded, images), condition_numbers(loaded)
    typer.echo(f"model             {loaded.card.name}, weights SHA-256 {loaded.card.weights_sha256}")
    typer.echo(f"images            {found.images}, {found.bits} bits, {size} x {size}: {'given' if inputs else 'test set'}")
    typer.echo(f"exact, float64    {found.share_float64:.2%}, largest error {found.max_abs_error_float64:.2e} grey levels")
    typer.echo(f"exact, float32    {found.share_float32:.2%}, largest error {found.max_abs_error_float32:.2e} grey levels")
    typer.echo(f"condition numbers {min(numbers):.2f} to {max(numbers):.2f} over {len(numbers)} inverted convolutions")
    verdict = found.share_float64 == 1
    typer.echo(f"{'CERTIFIED' if verdict else 'NOT CERTIFIED'}: {round(found.share_float64 * found.images)} of {found.images} images come back in every pixel (float64)")
    typer.echo("Research use, not for diagnosis.")
    raise typer.Exit(0 if verdict else 1)
