"""`medinv train`: from a configuration to a model folder."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="A YAML file such as configs/chest-xray.yaml.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Model folder. Default: runs/NAME-SEED.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override, such as train.epochs=3; may be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads. Default: torch's own choice.")
    ] = None,
) -> None:
    """Train, calibrate, measure; write weights, card and reference.

    Interrupted, the same command goes on from the last epoch.
    """
    import torch

    from medinv.config import load_config
    from medinv.data.sets.load import load_images
    from medinv.errors import ConfigError
    from medinv.training.publish import publish
    from medinv.training.train import Epoch
    from medinv.training.train import train as run

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"--device {device}: no CUDA device here; use --device cpu")
    if threads:
        torch.set_num_threads(threads)
    overrides = tuple(set_ or ())
    recipe = load_config(config, overrides)
    folder = out or Path("runs") / f"{recipe.name}-{recipe.seed}"
    data = load_images(recipe.data, progress=lambda text: typer.echo(text, err=True))

    def report(epoch: Epoch) -> None:
        bits = "" if epoch.bits_per_pixel is None else f"  {epoch.bits_per_pixel:.3f} bits a pixel"
        typer.echo(
            f"epoch {epoch.number}/{recipe.train.epochs}  "
            f"cross-entropy {epoch.cross_entropy:.4f}{bits}  {epoch.seconds:.0f} s",
            err=True,
        )

    trained = run(recipe, data, device=device, checkpoint=folder / "checkpoint.pt", report=report)
    words = ["medinv train", config.as_posix(), *(f"--set {override}" for override in overrides)]
    card = publish(folder, trained, recipe, data, command=" ".join(words))
    for name, estimate in card.metrics.items():
        typer.echo(f"{name:18} {estimate}")
    if card.exactness:
        exact = card.exactness
        typer.echo(
            f"decoded exactly    {exact.share_float64:.4f} in float64, "
            f"{exact.share_float32:.4f} in float32, of {exact.images}"
        )
    typer.echo(f"model: {folder}\n{card.disclaimer}")
