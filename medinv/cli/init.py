"""`medinv init`: a configuration for a prepared set, and what training by it will cost."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from medinv.cli.device import CPU, Device, check_there

Kinds = Literal["density", "pooled"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="SET", help="A set of `medinv prepare`.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write. Default: NAME.yaml.")
    ] = None,
    kind: Annotated[
        Kinds | None, typer.Option(help="The kind of model. Default: by the images and classes.")
    ] = None,
    measure: Annotated[
        bool, typer.Option(help="Take some steps, to say what training will cost.")
    ] = True,
    device: Device = CPU,
) -> None:
    """Write a commented configuration that trains as it is.

    What is not supported is refused here. Research use, not for diagnosis.
    """
    from medinv.config import load_config
    from medinv.data.sets.prepared import read_set
    from medinv.errors import ConfigError, MedinvError
    from medinv.files import write_whole
    from medinv.training.draft import write
    from medinv.training.recommend import draft

    check_there(device)
    found = read_set(folder)
    columns = found.data.train.columns
    modalities = sorted({str(each) for each in columns["modality"]} - {""})
    drawn = draft(found.info, modalities, kind)
    path = out or Path(f"{drawn.name}.yaml")
    if path.exists():
        raise ConfigError("this file is there already; name another with --out", path=path)
    write_whole(path, write(drawn, found.info, _from(path, folder)).encode())
    typer.echo(f"{path}: {drawn.why}")
    try:
        config = load_config(path)
        if measure:
            from medinv.training.cost import measure_cost

            _print_cost(measure_cost(config, found.data, device))
    except MedinvError:  # nothing is left that does not train
        path.unlink()
        raise
    for note in drawn.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"next: medinv train {path}\nResearch use, not for diagnosis.")


def _print_cost(cost) -> None:  # type: ignore[no-untyped-def]  # its module brings torch
    typer.echo(
        f"{cost.parameters:,} parameters; {cost.step:.2f} s a step, {cost.epoch:.0f} s an epoch, "
        f"{_long(cost.training)} for {cost.epochs} epochs; {cost.memory / 2**20:.0f} MB of memory; "
        f"the inverse of one image {cost.inverse:.2f} s in float64; on this machine as it is now"
    )


def _long(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _from(path: Path, folder: Path) -> str:
    """The set as a file beside it names it, so that both can be moved together."""
    return os.path.relpath(folder.resolve(), path.resolve().parent)
