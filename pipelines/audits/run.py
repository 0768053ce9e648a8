"""What the shipped models decide by: each audited on its test images, the verdict kept in its card.

    python -m pipelines.audits.run [MODEL ...] [--quick] [--out runs/audits]

Of each model the texts of the card (limits, selection, ages) are first brought to those of
configs/MODEL.yaml, and what its scope knows of the layout of images is fitted where it is missing,
so that one command makes new weights complete. Pages lie in --out, pipelines/results/audits.md has
the figures; an audit of the same weights that lies there and is kept in the card is not made again.
Needs MEDINV_DATA for the radiographs; on a free core some minutes a model, twenty for volumes.
"""

import argparse
from pathlib import Path

from medinv.audit.result import HEADLINES, Audit
from medinv.cli.audit import audit
from medinv.config import load_config
from medinv.models.store import keep_texts, read_card
from pipelines.record import ROOT, Table, record

CLAIM = """\
Images are changed on purpose and the model is asked again: its region blanked, alone, and in the
surround of another class, findings planted, images turned over, blurred and of other kinds. The
verdict follows the rules of `medinv.audit.verdict`; a claim in a model's favour needs the worse end
of every interval."""
CHOSEN = ("chest-xray", "phantom-opacity", "phantom-ct")


def audited(name: str, out: Path, *, quick: bool) -> Audit:
    """One model brought up to date, audited, and what was found."""
    texts, file = ROOT / "configs" / f"{name}.yaml", out / name / "audit.json"
    keep_texts(name, load_config(texts).card)
    card = read_card(name)
    if card.audit and file.is_file():
        before = Audit.model_validate_json(file.read_bytes())
        if before.model.weights_sha256 == card.weights_sha256 and before.quick == quick:
            return before
    audit(name, out=file.parent, quick=quick, keep=True)
    return Audit.model_validate_json(file.read_bytes())


def table(found: dict[str, Audit]) -> Table:
    """A row a figure, a column a model: headlines, and every share that gets no label."""
    keys = {one.key: one.name for each in found.values() for one in each.figures}
    chosen = [k for k in keys if k in HEADLINES or k.startswith(("scope.", "change.", "planted."))]
    rows = []
    for key in chosen:
        values = [each.value(key) for each in found.values()]
        rows.append([keys[key], *(str(value) if value else "-" for value in values)])
    return Table("Figures", ("", *found), rows, "95 % intervals by patient, of test images.")


def verdicts(found: dict[str, Audit]) -> Table:
    """A row a model."""
    rows = [
        [name, one.verdict.sentence, " ".join(one.verdict.cautions)] for name, one in found.items()
    ]
    return Table("Verdicts", ("model", "verdict", "cautions"), rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=list(CHOSEN), metavar="MODEL")
    parser.add_argument("--quick", action="store_true", help="to try it; writes no results page")
    parser.add_argument("--out", type=Path, default=Path("runs/audits"))
    options = parser.parse_args()
    found = {name: audited(name, options.out, quick=options.quick) for name in options.models}
    made = [verdicts(found), table(found)]
    for one in made:
        print(one.markdown())
    if not options.quick:
        numbers = {
            f"{name}.{figure.key}": figure.estimate.model_dump()
            for name, each in found.items()
            for figure in each.figures
        }
        record(
            "audits",
            title="What the shipped models decide by",
            claim=CLAIM,
            tables=made,
            made={
                "command": "python -m pipelines.audits.run " + " ".join(found),
                "weights": ", ".join(read_card(name).weights_sha256[:12] for name in found),
                "seconds": round(sum(each.seconds for each in found.values())),
            },
            numbers=numbers,
        )


if __name__ == "__main__":
    main()
