"""`medinv classify`: studies in, results out."""

from pathlib import Path
from typing import Annotated

import typer


def classify(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="DICOM files, folders or zips.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    model: Annotated[list[str], typer.Option("--model", "-m", help="Shipped model or model folder; may be repeated.")],
    report: Annotated[bool, typer.Option("--report", help="Write an HTML report a study and an index page.")] = False,
    phi: Annotated[bool, typer.Option("--phi", help="Keep study and image UIDs instead of pseudonyms.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results in --out.")] = False,
) -> None:
    """Classify every study, certify that the features decode back to the pixels, and say why.

    Exit codes: 0 all classified, 1 some failed, 2 usage, 3 nothing eligible, 4 model, 130 interrupted.
    """
    from rich.console import Console

    from medinv.batch.run import Options, run
    from medinv.cli.show import print_rows, progress
    from medinv.data.dicom.index import index
    from medinv.errors import ConfigError
    from medinv.models.store import load

    for path in inputs:
        if not path.exists():
            raise ConfigError("no such file or folder", path=path)
    loaded = [load(name) for name in dict.fromkeys(model)]
    for one in loaded:
        if one.card.scope is None:
            raise ConfigError(f"{one.card.name} is an ordinary network: it cannot run backwards; choose an invertible model")
    found = index(inputs)
    with progress("classifying", len(found.studies) * len(loaded)) as advance:
        summary = run(found, loaded, Options(out, report, phi, overwrite), on_study=lambda row: advance())
    console = Console()
    print_rows(summary.rows, console)
    counts = summary.counts
    console.print(
        f"{counts['files']} files, {counts['studies']} studies: {counts['classified']} classified, {counts['out_of_scope']} out of scope, "
        f"{counts['failed']} failed, {counts['skipped']} skipped" + ("; interrupted" if summary.interrupted else ""),
        highlight=False,
    )
    console.print(f"results: {out / 'results.jsonl'}" + (f"\nreports: {out / 'index.html'}" if report else ""), highlight=False, soft_wrap=True)
    console.print("Research use, not for diagnosis.", style="bold")
    raise typer.Exit(summary.exit_code)
