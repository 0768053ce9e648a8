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
    """Train, calibrate, measure and write weights and card. Interrupted, the same command goes on from the last epoch."""
    import torch

    from medinv.config import load_config
    from medinv.data.sets.foreign import foreign_images
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
            f"epoch {epoch.number}/{recipe.train.epochs}  cross-entropy {epoch.cross_entropy:.4f}{bits}  {epoch.seconds:.0f} s",
            err=True,
        )

    trained = run(recipe, data, device=device, checkpoint=folder / "checkpoint.pt", report=report)
    command = " ".join(
        ["medinv train", config.as_posix(), *(f"--set {override}" for override in overrides)]
    )
    foreign = (
        foreign_images(data.test, recipe.data.path_variable)
        if recipe.model.kind == "invertible"
        else {}
    )
    card = publish(folder, trained, recipe, data, command=command, foreign=foreign)
    for name, interval in card.metrics.items():
        typer.echo(f"{name:18} {interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})")
    if card.exactness:
        typer.echo(
            f"decoded exactly    {card.exactness.share_float64:.4f} in float64, {card.exactness.share_float32:.4f} in float32, of {card.exactness.images}"
        )
    typer.echo(f"model: {folder}\nResearch use, not for diagnosis.")
