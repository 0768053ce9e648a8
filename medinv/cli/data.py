"""`medinv data`: sets that the project makes itself, and what one holds."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Make data sets with known truth, and say what a set holds.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Make data sets with known truth, and say what a set holds."""


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="SET", help="Folder of medinv prepare.")],
) -> None:
    """Say what a prepared set holds and how it came about."""
    from rich.console import Console

    from medinv.cli.prepare import print_info
    from medinv.data.sets.info import read_info

    info = read_info(folder)
    print_info(info, Console())
    typer.echo(f"made by: {info.command}\nsha256: {info.sha256}\n{info.disclaimer}")


@app.command()
def phantoms(
    out: Annotated[
        Path, typer.Option(help="Folder for studies/ (DICOM) and truth/ (masks, labels).")
    ],
    studies: Annotated[int, typer.Option(min=1, help="How many studies.")] = 8,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Same seed, same pixels. Default: that of sample_data/."),
    ] = None,
    ct: Annotated[bool, typer.Option(help="Add a short CT series to two studies in eight.")] = True,
) -> None:
    """Write DICOM studies of an invented thorax, with and without opacities.

    Their masks and labels are written beside them.
    """
    from medinv.data.phantoms.sets import SAMPLE_SEED, TEST_SEED, TRAIN_SEED, VALIDATION_SEED
    from medinv.data.phantoms.studies import write_studies

    seed = SAMPLE_SEED if seed is None else seed
    if seed in (TRAIN_SEED, VALIDATION_SEED, TEST_SEED):
        typer.echo(
            f"note: seed {seed} also made radiographs of the shipped model's training, "
            "validation or test set",
            err=True,
        )
    with typer.progressbar(length=studies, label="studies") as bar:
        truth = write_studies(out, studies, seed, ct=ct, progress=lambda _: bar.update(1))
    for row in truth:
        contrast = (
            f"{', '.join(row['kinds'])}, {row['contrast_grey_levels']:g} grey levels"
            if row["kinds"]
            else ""
        )
        typer.echo(
            f"{row['study']}  {row['label']:8}{'+ CT  ' if row['ct'] else '      '}{contrast}"
        )
    typer.echo(
        f"{studies} studies in {out}/studies, their truth in {out}/truth. Computer-generated: "
        "research use, not for diagnosis."
    )
