"""`medinv verify`: the round-trip certificate of a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medinv.cli.device import Device

if TYPE_CHECKING:
    from medinv.models.base import InvertibleNetwork


def verify(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[INPUT...]",
            help="DICOM files, pictures, folders or zips. Default: the model's test images.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Shipped model or model folder.")
    ] = "chest-xray",
    lossless: Annotated[
        bool,
        typer.Option(
            "--lossless",
            help="Certify the lossless intake: features decode to every byte of the Pixel Data.",
        ),
    ] = False,
    device: Device = "cpu",
) -> None:
    """Certify that the features of every image decode back to every pixel.

    Exit code 0 if all do, 1 if not.
    """
    from medinv.errors import ConfigError
    from medinv.models.store import load_invertible, read_card

    card = read_card(model)
    if inputs or not card.invertible:
        card.check_takes_studies()
    if lossless and not inputs:
        raise ConfigError(
            "--lossless certifies DICOM files: name files, folders or zips (the model's test "
            "images are 8-bit thumbnails)"
        )
    loaded = load_invertible(model, device=device)
    typer.echo(f"model             {card.name}, weights SHA-256 {card.weights_sha256}")
    verdict = _bytes_return(loaded, inputs or ()) if lossless else _pixels_return(loaded, inputs)
    typer.echo("Research use, not for diagnosis.")
    raise typer.Exit(0 if verdict else 1)


def _pixels_return(loaded: "InvertibleNetwork", inputs: Sequence[Path] | None) -> bool:
    """The certificate on network inputs, of 8 bits."""
    import numpy as np

    from medinv.cli.inputs import network_inputs
    from medinv.data.frame import InputSpec
    from medinv.data.sets.load import load_images
    from medinv.training.publish import condition_numbers, exactness

    spec = InputSpec.of(loaded.image_shape)
    images = (
        np.stack([x for _, x in network_inputs(inputs, spec)])
        if inputs
        else load_images(loaded.card.config.data).test.images
    )
    exact, numbers = exactness(loaded, images), condition_numbers(loaded)
    sides = " x ".join(map(str, loaded.image_shape[1:]))
    origin = "given" if inputs else "test set"
    typer.echo(f"images            {exact.images}, {exact.bits} bits, {sides}: {origin}")
    for name, share, error in (
        ("float64", exact.share_float64, exact.max_abs_error_float64),
        ("float32", exact.share_float32, exact.max_abs_error_float32),
    ):
        typer.echo(f"exact, {name}    {share:.2%}, largest error {error:.2e} grey levels")
    typer.echo(
        f"condition numbers {min(numbers):.2f} to {max(numbers):.2f} over {len(numbers)} inverted "
        "convolutions"
    )
    verdict = exact.share_float64 == 1
    came_back = round(exact.share_float64 * exact.images)
    typer.echo(
        f"{_certified(verdict)}: {came_back} of {exact.images} images come back in every pixel "
        "(float64)"
    )
    return verdict


def _bytes_return(loaded: "InvertibleNetwork", inputs: Sequence[Path]) -> bool:
    """The certificate on whole files, frame by frame.

    What cannot be read or is in colour is named and certified by no one.
    """
    from medinv.cli.inputs import stored_pixels
    from medinv.data.lossless import certify_lossless
    from medinv.errors import MedinvError

    exact = total = left_out = 0
    for instance, pixels in stored_pixels(inputs):
        try:
            certificate = certify_lossless(loaded.double(), pixels)
        except MedinvError as error:
            left_out += 1
            if pixels.frame == 0:
                typer.echo(f"left out: {instance.source}: {error.message}", err=True)
            continue
        total, exact = total + 1, exact + certificate.exact
        which = f", frame {pixels.frame + 1} of {instance.frames}" if instance.frames > 1 else ""
        typer.echo(f"{instance.source}{which}")
        typer.echo(
            f"  pixels          {instance.rows} x {instance.columns}, {instance.bits_stored} bits, "
            f"{certificate.bytes} bytes"
        )
        typer.echo(f"  stored          SHA-256 {certificate.stored_sha256}")
        typer.echo(f"  recovered       SHA-256 {certificate.recovered_sha256}")
        if certificate.contradicted:
            typer.echo(f"  not certified   {certificate.contradicted}")
            continue
        typer.echo(
            f"  {'exact' if certificate.exact else 'NOT EXACT'}: {certificate.levels} wavelet "
            f"levels; averages decode to within {certificate.error:.1e} of integers, 0.5 is allowed"
        )
    verdict = exact == total > 0
    also = f"; {left_out} left out" if left_out else ""
    typer.echo(
        f"{_certified(verdict)}: {exact} of {total} frames come back in every byte of their Pixel "
        f"Data{also}"
    )
    return verdict


def _certified(verdict: bool) -> str:
    return "CERTIFIED" if verdict else "NOT CERTIFIED"
