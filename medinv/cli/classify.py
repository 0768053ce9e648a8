"""`medinv classify`: studies in, results out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medinv.cli.device import Device, check_there
from medinv.cli.start import importing

if TYPE_CHECKING:
    from rich.console import Console

    from medinv.batch.options import Options, Renderer, Shard
    from medinv.batch.run import Summary
    from medinv.batch.workers import Reader
    from medinv.data.dicom.records import Index


def classify(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="DICOM files, pictures, folders, zips, a DICOMDIR, or CSV lists with a column "
            "`path`.",
        ),
    ],
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="Shipped model or model folder; may be repeated."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the results; needed unless --dry-run is given.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show which images would be classified and why not the rest; write nothing.",
        ),
    ] = False,
    explain_selection: Annotated[
        bool,
        typer.Option(
            "--explain-selection",
            help="Show the verdict of each of the model's rules on each group of images.",
        ),
    ] = False,
    only_uid: Annotated[
        list[str] | None,
        typer.Option(
            "--only-uid",
            metavar="UID",
            help="This study alone, by its Study Instance UID or its pseudonym in earlier results; "
            "may be repeated.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write an HTML report a study and an index page.")
    ] = False,
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom",
            help="Write DICOM results too. They join the study, so they carry the patient's name "
            "as its images do.",
        ),
    ] = False,
    phi: Annotated[
        bool,
        typer.Option(
            "--phi",
            help="Keep study and image UIDs instead of pseudonyms, and draw images whose header "
            "says that their pixels name the patient.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results in --out.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run in --out: only what is missing or has changed is done.",
        ),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="As --resume, and studies with a broken file are done again."
        ),
    ] = False,
    shard: Annotated[
        str,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Do part I of N; the part that ends last joins all results.",
        ),
    ] = "1/1",
    rule: Annotated[
        str | None,
        typer.Option(
            "--rule",
            help="How images decide for their study: maximum, mean-of-top-3 or mean. Default: "
            "what the model's card names.",
        ),
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(
            "--abstain",
            metavar="ERROR",
            help="Leave studies undecided so that at most this share of the images of each class, "
            "if they are like those that the model was calibrated on, is decided wrongly: 0.01, "
            "0.02, 0.05, 0.1 or 0.2. Columns `plausible` and `undecided`.",
        ),
    ] = None,
    intake: Annotated[
        str,
        typer.Option(
            "--intake",
            help="resize (lossy, as the models were trained) or lossless (every stored byte comes "
            "back).",
        ),
    ] = "resize",
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", min=0.1, metavar="SECONDS", help="Longest time for reading a study."
        ),
    ] = 300,
    memory: Annotated[
        float,
        typer.Option(
            "--memory",
            min=0.01,
            metavar="GB",
            help="What reading may take; an image that needs more is refused by name.",
        ),
    ] = 4,
    readers: Annotated[
        int,
        typer.Option(
            "--readers",
            min=0,
            help="Processes that read files; 0: half as many as the machine has cores.",
        ),
    ] = 0,
    max_failures: Annotated[
        int | None,
        typer.Option(
            "--max-failures", min=0, metavar="N", help="Stop when more than N studies have failed."
        ),
    ] = None,
    device: Device = "cpu",
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option("--engine", help="This machine, or the machines of a Ray cluster."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of the Ray cluster; without it one starts here."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="Log, without identifiers. Default: run.log beside the results.",
        ),
    ] = None,
) -> None:
    """Classify every study, certify that the features decode back to the pixels, and say why.

    Exit codes: 0 all classified, 1 some failed, 2 usage, 3 nothing eligible, 4 model,
    130 interrupted.
    """
    with importing():
        from medinv.batch.child import import_pydicom

        import_pydicom()
        from rich.console import Console

        from medinv.batch.options import READERS, Options
        from medinv.batch.results import check_free
        from medinv.batch.workers import started
        from medinv.cli.selection import only, print_selection
        from medinv.data.dicom.index import index
        from medinv.errors import ConfigError
        from medinv.models.shelf import read_card

    _check(inputs, rule, intake, report or dicom)
    if out is None and not dry_run:
        raise ConfigError(
            "name a folder for the results with --out, or pass --dry-run to see which images would "
            "be classified"
        )
    cards = [read_card(name) for name in dict.fromkeys(model)]
    for card in cards:
        card.check_takes_studies()
    if abstain is not None:
        from medinv.analysis.abstain import Abstention

        for card in cards:
            Abstention.of(card, abstain)
    options = Options(
        out or Path(),
        phi=phi,
        overwrite=overwrite,
        resume=resume,
        retry_failed=retry_failed,
        max_failures=max_failures,
        shard=_shard(shard),
        rule=rule,
        abstain=abstain,
        lossless=intake == "lossless",
        timeout=timeout,
        memory=int(memory * 1e9),
        readers=readers or READERS,
        log=log,
        engine=_engine(engine, address),
    )
    if not dry_run:  # before an archive is indexed for hours
        check_there(device)
        check_free(options.folder, overwrite=overwrite, resume=resume or retry_failed)
    # their start takes as long as indexing a thousand files: both at once
    with started(0 if dry_run or options.engine else options.readers) as ready:
        files = index(inputs) if not only_uid else only(index(inputs), only_uid)
        if dry_run or explain_selection:
            code = print_selection(files, cards, Console(), every_rule=explain_selection, phi=phi)
            if dry_run:
                raise typer.Exit(code)
        beside = {"report": report, "dicom": dicom}
        asked = _Asked(
            tuple(dict.fromkeys(model)), device, frozenset(one for one in beside if beside[one])
        )
        raise typer.Exit(_run(files, asked, options, ready))


@dataclass(frozen=True)
class _Asked:
    """Models by name, where they compute, and what is written beside the results."""

    models: tuple[str, ...]
    device: str
    renderers: frozenset[str]


def _run(files: "Index", asked: _Asked, options: "Options", readers: "Sequence[Reader]") -> int:
    """Classify, write what was asked for, say what came of it; returns the exit code."""
    with importing():
        from rich.console import Console

        from medinv.batch.ledger import begun_with
        from medinv.batch.results import Results
        from medinv.batch.run import run  # brings torch, while the readers start
        from medinv.cli.show import print_results, progress, until_interrupted
        from medinv.models.store import load_invertible

    renderers: dict[str, Renderer] = {}
    wanted = asked.renderers
    if options.resume or options.retry_failed:  # a run goes on as it was begun
        wanted |= begun_with(options.folder)
    if wanted:
        from medinv.report import write

        once = write.Reports(phi=options.phi)
        every: dict[str, Renderer] = {"report": once.reports, "dicom": once.dicom}
        renderers = {name: renderer for name, renderer in every.items() if name in wanted}
    options = replace(options, renderers=renderers)
    loaded = [load_invertible(name, device=asked.device) for name in asked.models]
    with until_interrupted(), progress("classifying") as bar:
        summary = run(
            files, loaded, options, readers=readers, on_plan=bar.begin, on_study=bar.advance
        )
        if "report" in wanted:
            write.index_page(summary.results, options.folder / "index.html")
            if summary.joined:
                write.index_page(Results(options.out), options.out / "index.html")
    console = Console()
    print_results(summary.results, console)
    _print_summary(summary, options, console)
    return summary.exit_code


def _check(inputs: list[Path], rule: str | None, intake: str, report: bool) -> None:
    from medinv.analysis.aggregate import RULES
    from medinv.cli.inputs import check_inputs
    from medinv.errors import ConfigError

    check_inputs(inputs)
    if rule is not None and rule not in RULES:
        raise ConfigError(f"expected --rule {', '.join(RULES)}; got {rule!r}")
    if intake not in ("resize", "lossless"):
        raise ConfigError(f"expected --intake resize or lossless; got {intake!r}")
    if intake == "lossless" and report:
        raise ConfigError(
            "reports are drawn of the resized intake: leave out --report and --dicom, or --intake "
            "lossless"
        )


def _engine(name: str, address: str | None) -> "Callable[..., Any] | None":
    from medinv.errors import ConfigError

    if name == "local":
        if address is not None:
            raise ConfigError("--address is of a Ray cluster: add --engine ray, or leave it out")
        return None
    from medinv.batch.cluster import RayEngine

    return RayEngine(address)


def _shard(text: str) -> "Shard":
    from medinv.batch.options import Shard
    from medinv.errors import ConfigError

    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise ConfigError(f"expected --shard as I/N with I from 1 to N, such as 2/4; got {text!r}")
    return Shard(int(number), int(of))


def _print_summary(summary: "Summary", options: "Options", console: "Console") -> None:
    from medinv.batch.counts import not_read
    from medinv.cli.show import say

    counts, folder = summary.counts, options.folder
    unreached = counts["unreached_studies"]
    say(
        console,
        f"{counts['files']} {'file' if counts['files'] == 1 else 'files'}, "
        f"{counts['studies']} {'study' if counts['studies'] == 1 else 'studies'}: "
        f"{counts['classified']} classified, "
        f"{counts['out_of_scope']} out of scope, {counts['failed']} failed, "
        f"{counts['skipped']} skipped"
        + (f", {unreached} not reached" if unreached else "")
        + not_read(counts),
    )
    if summary.stopped:
        say(
            console,
            f"stopped: {summary.stopped}; all that is done is kept, the same command with --resume "
            "does the rest",
        )
    if summary.joined:
        joined = options.out / "results.jsonl"
        say(console, f"all {options.shard.of} shards are done and joined: {joined}")
    say(console, f"results: {folder / 'results.jsonl'}")
    if "report" in options.renderers:
        say(console, f"reports: {folder / 'index.html'}")
    say(console, "Research use, not for diagnosis.", bold=True)
