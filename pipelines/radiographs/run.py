"""What a chest radiograph model decides by.

    python -m pipelines.radiographs.run MODEL... [--part validation|test] [--maps]

MODEL is a shipped name, a model folder, or the folder of a training that still runs (its checkpoint
is calibrated on validation films). On the validation films, on which choices are made, or on the
test films: AUC of whole films and of either region alone, surrounds exchanged both ways, findings
planted in other shapes than those of training, changes that are no finding; with --maps where the
local evidence lies, and on test films also on lesions that radiologists drew in films of other
hospitals. Rows of a finished model are kept in --cache and not measured twice by one commit. Of
test films the page pipelines/results/radiographs.md is written, of validation films the table is
only printed.

Needs MEDINV_DATA. On one core about two minutes a model of 64 pixels, six of 128; twice that with
--maps.
"""

import argparse
import json
import re
import time
from pathlib import Path

from medinv.audit.planted import plantings
from medinv.files import write_whole
from medinv.metrics import Estimate
from pipelines.radiographs.lesions import adults, boxed, drawn
from pipelines.radiographs.measures import answers, evidence, lesions, other_people, planted
from pipelines.radiographs.subjects import Subject, subject
from pipelines.radiographs.variants import films_of, named
from pipelines.record import Table, record

CLAIM = """\
What lies outside the lungs of these films gives their label away. Asked is whether a model decides
by the lungs all the same: regions blanked and exchanged, findings planted, and where the evidence
for pneumonia lies. The lungs are estimated by a template fitted to each film; patches of real
pneumonia come from other patients of the same part. Findings planted are of other shapes than those
that models were trained on. What any evidence on real lesions has to be compared with are the maps
that look at no model: where lesions usually lie, and the estimated lungs, as they are and as
evidence is shown, inside them and averaged."""


def measured(one: Subject, part: str, *, maps: bool) -> dict[str, Estimate]:
    """All rows of one model."""
    films, region = films_of(one.data, part)
    rows = dict(answers(one, films, region))
    made = {named(found.name): found for found in plantings(films, region)}
    rows |= planted(one, films, made, mapped=maps)
    if maps:
        rows |= evidence(one, films, region)
        if part == "test":
            size = films.images.shape[-1]
            rows |= other_people(one, adults(size))
            rows |= lesions(one, drawn(size), "radiologists' masks")
            rows |= lesions(one, boxed(size), "NIH boxes")
    return rows


def kept(path: Path | None) -> dict[str, Estimate] | None:
    """Rows measured before."""
    if path is None or not path.is_file():
        return None
    return {row: Estimate(**value) for row, value in json.loads(path.read_text()).items()}


def table(part: str, found: dict[str, dict[str, Estimate]], count: int) -> Table:
    """A row a measure, a column a model."""
    rows = list(dict.fromkeys(row for column in found.values() for row in column))
    cells = [
        [row, *(str(column[row]) if row in column else "-" for column in found.values())]
        for row in rows
    ]
    note = f"Means and shares with 95 % intervals, of {count} {part} films of children."
    return Table(f"By what they decide, {part} films", ("", *found), cells, note)


def key_of(row: str) -> str:
    """A row's name as one word, by which a text quotes it."""
    return re.sub(r"[^a-z0-9.]+", "-", row.lower())


def write(found: dict[str, dict[str, Estimate]], made: Table, seconds: float) -> None:
    """The page and its numbers, by `MODEL.ROW`."""
    numbers = {
        f"{name}.{key_of(row)}": value.model_dump()
        for name, column in found.items()
        for row, value in column.items()
    }
    how = {"command": "python -m pipelines.radiographs.run --part test --maps " + " ".join(found)}
    record(
        "radiographs",
        title="Chest radiographs: what the models decide by",
        claim=CLAIM,
        tables=[made],
        made=how | {"processor seconds": round(seconds)},
        numbers=numbers,
    )


def main() -> None:
    """The command."""
    began = time.process_time()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--maps", action="store_true")
    parser.add_argument("--config", default="configs/chest-xray.yaml", help="of a training")
    parser.add_argument("--depth", action="append", default=[], help="of local evidence")
    parser.add_argument("--cache", type=Path, default=Path("runs/radiographs"))
    parser.add_argument(
        "--beside",
        nargs=2,
        metavar=("NAME", "FILE"),
        help="a column of rows that were kept of a model which is gone",
    )
    options = parser.parse_args()
    found, count = {}, 0
    if options.beside:
        name, file = options.beside
        rows = kept(Path(file))
        if rows is None:
            parser.error(f"--beside: no rows in {file}")
        found[name] = rows
    for name in options.models:
        one = subject(name, options.config, tuple(options.depth))
        path = one.kept_in(options.cache, options.part + "-maps" * options.maps)
        rows = kept(path)
        if rows is None:
            rows = measured(one, options.part, maps=options.maps)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                tree = {row: value.model_dump() for row, value in rows.items()}
                write_whole(path, json.dumps(tree, indent=1).encode())
        found[name], count = rows, len(getattr(one.data, options.part))
    made = table(options.part, found, count)
    print(made.markdown())
    if options.part == "test":
        write(found, made, time.process_time() - began)


if __name__ == "__main__":
    main()
