"""`medinv train`: from a configuration to a model folder."""

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from medinv.cli.device import CPU, Device, check_there
from medinv.cli.interrupts import interrupt, on_interrupt
from medinv.cli.interrupts import say as say_at_once

COMMAND = "medinv train"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Ctrl-C while a network trains: the step is finished and saved first."""

    def __init__(self) -> None:
        self.training = self.asked = False

    def listen(self) -> None:
        """From now on Ctrl-C, or being asked to end, stops the training."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            on_interrupt(self.ask, signals=SIGNALS)
            return
        for one in SIGNALS:  # torchrun sends its own after that of the terminal, and then waits
            signal.signal(one, lambda number, frame: None if self.asked else self.ask())

    def ask(self) -> None:
        """Called by the signal."""
        self.asked = True
        if not self.training:
            interrupt()
        say_at_once("interrupted: saving after this step; the same command goes on from there")


def train(
    config: Annotated[Path, typer.Argument(help="A YAML file: of `medinv init`, or of configs/.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Model folder. Default: runs/NAME-SEED.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override, such as train.epochs=3; may be repeated."),
    ] = None,
    twin: Annotated[
        bool,
        typer.Option("--twin", help="Train the ordinary network of the same widths and budget."),
    ] = False,
    device: Device = CPU,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads. Default: torch's own choice.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that read, transform and compose images ahead.")
    ] = 0,
    snapshots: Annotated[
        int,
        typer.Option(
            min=0,
            help="States kept on the way, as large as the checkpoint, from which "
            "`medinv verify-run` can replay steps; from the start it can without.",
        ),
    ] = 0,
) -> None:
    """Train, calibrate, measure; write weights, card and reference.

    Interrupted, the same command goes on from the last step. A finished run goes on with
    `--set train.epochs=N`, N larger than before. Several processes train one network under
    `torchrun --nproc-per-node N -m medinv train ...`. training-log.jsonl says how the weights came
    to be, for `medinv verify-run`.
    """
    stop = Stop()
    stop.listen()

    import torch
    from rich.console import Console

    from medinv.cli.progress import TrainingProgress
    from medinv.config import load_config
    from medinv.config.twin import twin_of
    from medinv.data.sets.load import load_images
    from medinv.layers import processes
    from medinv.training.processes import joined
    from medinv.training.publish import publish
    from medinv.training.record import Record
    from medinv.training.train import Epoch, Options
    from medinv.training.train import train as run

    check_there(device)
    if threads:
        torch.set_num_threads(threads)
    overrides = tuple(set_ or ())
    recipe = load_config(config, overrides)
    recipe = twin_of(recipe) if twin else recipe
    folder = out or Path("runs") / f"{recipe.name}-{recipe.seed}"
    data = load_images(recipe.data, progress=lambda text: typer.echo(text, err=True))
    with joined(device) as place:
        first = processes.rank() == 0
        console = Console(stderr=True, quiet=not first)
        with TrainingProgress(recipe.train.epochs, console) as shown:
            record = Record(folder, shown.say) if first else None

            def note(*epochs: Epoch) -> None:
                if record is not None:
                    record.add(epochs)

            def report(epoch: Epoch) -> None:
                shown.epoch(epoch)
                note(epoch)

            options = Options(
                step=shown.step,
                say=shown.say,
                resumed=lambda epochs: note(*epochs),
                stop=lambda: stop.asked,
                workers=workers,
                log=folder,
                snapshots=snapshots,
            )
            checkpoint = folder / "checkpoint.pt"
            stop.training = True
            trained = run(
                recipe, data, device=place, checkpoint=checkpoint, report=report, options=options
            )
            stop.training = False
    if stop.asked:
        raise KeyboardInterrupt
    if not first:
        return
    typer.echo(
        "measuring on test images, learning how images stand, and writing the model", err=True
    )
    words = [COMMAND, config.as_posix(), *(f"--set {override}" for override in overrides)]
    card = publish(folder, trained, recipe, data, command=" ".join([*words, *["--twin"] * twin]))
    for name, estimate in card.metrics.items():
        typer.echo(f"{name:18} {estimate}")
    if card.exactness:
        exact = card.exactness
        typer.echo(
            f"decoded exactly    {exact.share_float64:.4f} in float64, "
            f"{exact.share_float32:.4f} in float32, of {exact.images}"
        )
    typer.echo(f"model: {folder}\n{card.disclaimer}")
