"""`medinv prepare`: somebody's own images and labels in, a set to train on out."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from medinv.batch.workers import Reader
    from medinv.data.intake import FramesRead, ReadRequest
    from medinv.data.prepare.prepare import Made
    from medinv.data.prepare.read import Read
    from medinv.data.sets.info import DataSetInfo


def prepare(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="DICOM files, pictures, NIfTI volumes, folders and zips of these, a DICOMDIR; or "
            "one npz with train_images, train_labels and so on; or one MONAI datalist.json.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the set.")],
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="CSV|folders",
            help="A CSV with a column `label` and one of paths, SOP, series or study UIDs or "
            "PatientIDs; where there, columns `patient` and `split`, and any for subgroups. Or "
            "the word folders: one folder a class. An npz and a datalist bring their own.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW|DxHxW",
            help="Pixels of the network's input; three numbers: volumes. Default: 128, of an npz "
            "what it holds.",
        ),
    ] = None,
    colour: Annotated[bool, typer.Option("--colour", help="Keep red, green and blue.")] = False,
    bits: Annotated[int, typer.Option(help="8, or 16 for an npz of 16 bits.")] = 8,
    rules: Annotated[
        Path | None,
        typer.Option(
            help="YAML: modalities, body_parts and selection as a model's card has them. Default: "
            "every image that can be read."
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="TRAINING,VALIDATION,TEST",
            help="Shares, where no split is given: by patient, stratified by class.",
        ),
    ] = "0.7,0.1,0.2",
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Class names in the order of label numbers; of two the second is the finding.",
        ),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="The column of classes, if not `label`.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The column that names images, if in doubt.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|CSV",
            help="Masks of the findings, each named as its image or with _STRUCTURE behind that; "
            "or a CSV of boxes: path, left, top, width, height.",
        ),
    ] = None,
    structures: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Of the masks only those of these structures."),
    ] = None,
    allow_absent: Annotated[
        bool, typer.Option("--allow-absent", help="Allow a class without images in a part.")
    ] = False,
    phi: Annotated[
        bool,
        typer.Option("--phi", help="Keep UIDs, paths, patients of the list and all its columns."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the set in --out.")] = (
        False
    ),
    name: Annotated[str | None, typer.Option(help="Of the set. Default: of its folder.")] = None,
    source: Annotated[str, typer.Option(help="Where the images come from, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Under which licence, for the card.")] = "",
    readers: Annotated[
        int, typer.Option(min=0, help="Processes that read files; 0: one a core but one.")
    ] = 0,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Longest time for 64 files.")
    ] = 600,
    memory: Annotated[
        float, typer.Option(min=0.01, metavar="GB", help="What reading may take.")
    ] = 4,
) -> None:
    """Make a set to train on of your own images: the same intake as `medinv classify`.

    Exit codes: 0 all is in order, 1 some files are broken or contradict each other, 2 usage,
    3 no image is left, 130 interrupted.
    """
    from medinv.batch.workers import started
    from medinv.cli.exits import INTERRUPTED
    from medinv.cli.inputs import check_inputs
    from medinv.cli.show import until_interrupted
    from medinv.data.prepare.masks import MaskSource
    from medinv.data.prepare.prepare import Wish, check
    from medinv.data.prepare.prepare import prepare as make
    from medinv.data.prepare.sources import Ask, open_source
    from medinv.data.prepare.split import parse_shares
    from medinv.data.sets.info import About
    from medinv.errors import NothingEligibleError

    check_inputs([*inputs, *([rules] if rules else [])])
    words = _words(classes)
    where = MaskSource(masks, _words(structures)) if masks else None
    ask = Ask(
        tuple(inputs), labels, label_column, key, size, colour, bits, rules, words, where, phi
    )
    about = About(
        name=name or out.resolve().name, source=source, licence=licence, command=_command(phi)
    )
    wish = Wish(
        out,
        about,
        classes=words,
        shares=parse_shares(split),
        seed=seed,
        allow_absent=allow_absent,
        phi=phi,
        overwrite=overwrite,
    )
    check(wish)
    try:
        with until_interrupted(), started(_readers(readers, inputs)) as ready, _bar() as bar:
            read = _reader(ready, timeout, memory)
            found = open_source(ask, read, lambda file: bar.step("looking into files"))
            made = make(found, wish, lambda done, of: bar.step("taking images in", done, of))
    except NothingEligibleError as error:
        typer.echo(f"medinv: {error.stage} [{error.code}]: {error}", err=True)
        raise typer.Exit(3) from error
    except KeyboardInterrupt as error:
        typer.echo("medinv: interrupted: nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from error
    _print(made, out)
    raise typer.Exit(1 if made.broken else 0)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()


def _readers(wanted: int, inputs: Sequence[Path]) -> int:
    """Reading is all the work here: every core but the one that writes."""
    from medinv.batch.options import CORES

    if all(path.suffix.lower() == ".npz" for path in inputs):
        return 0
    return wanted or max(1, CORES - 1)


def _reader(readers: "Sequence[Reader]", timeout: float, memory: float) -> "Read":
    """Reading in processes of their own, which a file that crashes a decoder does not outlive."""
    from medinv.batch.pool import Pool

    def read(requests: "Iterable[ReadRequest]") -> "Iterator[FramesRead]":
        with Pool(requests, readers, timeout=timeout, memory=int(memory * 1e9)) as pool:
            for answers in pool:
                yield from answers

    return read


class _Bar:
    """Progress on stderr: a count while it is not known of how many."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self.shown = Progress(
            *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
        )
        self._task = self.shown.add_task("", total=None)

    def step(self, what: str, done: int | None = None, of: int | None = None) -> None:
        """One more, or so many, are done."""
        if done is None:
            self.shown.update(self._task, description=what, advance=1)
        else:
            self.shown.update(self._task, description=what, completed=done, total=of)


@contextmanager
def _bar() -> Iterator[_Bar]:
    bar = _Bar()
    with bar.shown:
        yield bar


def _command(phi: bool) -> str:
    """As it was typed; of paths the names alone, which a hospital's folders may be too telling
    for."""
    words = sys.argv[1:] if phi else [_name(word) for word in sys.argv[1:]]
    return " ".join(["medinv", *(f"'{word}'" if " " in word else word for word in words)])


def _name(word: str) -> str:
    option, equals, value = word.partition("=")
    if equals and option.startswith("--"):
        return f"{option}={_name(value)}"
    return Path(word).name if "/" in word or "\\" in word else word


def _print(made: "Made", out: Path) -> None:
    """How many of what, what was refused and why, and what to do next."""
    from rich.console import Console

    from medinv.cli.show import say

    console = Console()
    print_info(made.info, console)
    say(console, f"\nlook at it: {out / 'contact.png'}; left out images: {out / 'refused.csv'}")
    say(console, f"next: medinv init {out}")
    say(console, made.info.disclaimer, bold=True)


def print_info(info: "DataSetInfo", console: "Console") -> None:
    """A set in words."""
    from rich.table import Table
    from rich.text import Text

    from medinv.cli.show import say
    from medinv.data.sets.info import PARTS

    size = " x ".join(map(str, info.size)) + (" in colour" if info.channels == 3 else "")
    total = sum(sum(counts.values()) for counts in info.counts.values())
    say(console, f"{info.name}: {total:,} images of {size}, {info.bits} bits", bold=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for part in PARTS:
        table.add_column(part, justify="right")
    for name in info.classes:
        table.add_row(Text(name), *(f"{info.counts[part][name]:,}" for part in PARTS))
    sums = (sum(info.counts[part].values()) for part in PARTS)
    table.add_row("images", *(f"{count:,}" for count in sums), style="bold")
    table.add_row("patients", *(f"{info.patients[part]:,}" for part in PARTS))
    console.print(table)
    known = (
        ("labels", info.label_key),
        ("patients", info.patients_from),
        ("split", info.split),
        ("positive class", info.classes[1] if len(info.classes) == 2 else ""),
        ("subgroups", ", ".join(info.columns)),
        ("masks", "beside the images" if info.masks else ""),
        ("left out", ", ".join(f"{n:,} {code}" for code, n in info.refused.items())),
        ("source", info.source),
        ("licence", info.licence),
    )
    for what, text in known:
        if text:
            say(console, f"{what}: {text}")
    for finding in info.findings:
        say(console, f"note: {finding}")
