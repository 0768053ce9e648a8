"""`medinv verify-run`: a training held against the log that it left."""

from pathlib import Path
from typing import Annotated

import typer


def verify_run(
    run: Annotated[Path, typer.Argument(help="Folder of a model that `medinv train` made.")],
    steps: Annotated[
        int, typer.Option(min=1, help="Steps done again from the start and from each snapshot.")
    ] = 8,
    whole: Annotated[
        bool, typer.Option("--whole", help="All steps: as long as the training took.")
    ] = False,
    epoch: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Replay this epoch alone, from 1; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Set folder, where it lies elsewhere than the log says."),
    ] = None,
) -> None:
    """Check the log of a training and do some of its steps again, to the last bit.

    Names what differs: data, order, seed, configuration, loss or weights. It is verifiable by
    replay: it needs the images, and hides nothing. Steps that are not replayed are only hashed.
    Exit code 0 if all agrees, 1 if not.
    """
    import torch

    from medinv.config import Config
    from medinv.data.sets.load import load_images
    from medinv.errors import ConfigError
    from medinv.training.log import LOG, Begin, read
    from medinv.training.replay import verify_run

    begun = [each for each in read(run / LOG)[0] if isinstance(each, Begin)]
    settings = Config.model_validate(begun[-1].config).data
    if data is not None:
        if "folder" not in type(settings).model_fields:
            raise ConfigError(f"--data: images of the set {settings.set} lie in no folder")
        settings = settings.model_copy(update={"folder": str(data)})
    torch.set_num_threads(begun[-1].threads)
    images = load_images(settings, progress=lambda text: typer.echo(text, err=True))
    found = verify_run(
        run,
        images,
        steps=None if whole else steps,
        epochs=epoch or (),
        say=lambda text: typer.echo(text, err=True),
    )
    typer.echo(f"log               {found.steps} steps, {found.epochs} epochs, head {found.head}")
    for each in found.replayed:
        typer.echo(f"replayed from     {each}")
    for note in found.notes:
        typer.echo(f"note              {note}")
    for difference in found.differences:
        typer.echo(f"DIFFERS           {difference}")
    share = found.steps_replayed / max(1, found.steps)
    verdict = "VERIFIED BY REPLAY" if found.agrees else "NOT VERIFIED"
    typer.echo(f"{verdict}: {found.steps_replayed} of {found.steps} steps ({share:.1%}) done again")
    typer.echo("Research use, not for diagnosis.")
    raise typer.Exit(0 if found.agrees else 1)
