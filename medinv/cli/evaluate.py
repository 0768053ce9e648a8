"""`medinv evaluate`: the metrics of a model on its test images, measured anew."""

from typing import Annotated

import typer


def evaluate(
    model: Annotated[str, typer.Option("--model", "-m", help="Shipped model or model folder.")],
) -> None:
    """Measure a model on the test images of its configuration and compare with its card.

    Exit code 1 if they differ.
    """
    from medinv.data.sets.load import load_images
    from medinv.models.store import load
    from medinv.training.measure import measure

    loaded = load(model)
    data = load_images(loaded.card.config.data, progress=lambda text: typer.echo(text, err=True))
    same_data = data.sha256() == loaded.card.data_sha256
    differs = False
    for name, estimate in measure(loaded, data.test).items():
        carded = loaded.card.metrics[name].value
        differs |= abs(carded - estimate.value) > 1e-6
        typer.echo(f"{name:18} {estimate}   card {carded:.3f}")
    typer.echo(
        f"images {'are' if same_data else 'are NOT'} those of the card. {loaded.card.disclaimer}"
    )
    raise typer.Exit(1 if differs else 0)
