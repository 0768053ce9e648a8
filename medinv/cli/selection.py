"""What `medinv classify --dry-run` and `--explain-selection` print.

They say which images a model would be shown, and why not the rest.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from rich.console import Console

from medinv.batch.options import identity, sources
from medinv.cli.show import say
from medinv.data.dicom.index import Broken, Index, Skipped, Study
from medinv.data.dicom.rules import Judged, choose
from medinv.errors import ConfigError
from medinv.files import pseudonym
from medinv.models.card import Card

_SHOWN = 3  # paths a reason, unless all are asked for


def only(files: Index, uids: Collection[str]) -> Index:
    """The studies of these UIDs or pseudonyms alone. Raises ConfigError where one is not there.

    The error counts them and names none: a UID may point to the patient.
    """
    wanted = set(uids)
    named = {
        (study.uid or "", pseudonym(identity(study), "study")): study for study in files.studies
    }
    found = {names: study for names, study in named.items() if wanted & set(names)}
    missing = wanted - {name for names in found for name in names}
    if missing:
        raise ConfigError(
            f"{len(missing)} of {len(wanted)} studies that --only-uid names are not among the "
            f"{len(named)} of the inputs"
        )
    return Index(tuple(found.values()))


def print_selection(
    files: Index, cards: Sequence[Card], console: Console, *, every_rule: bool, phi: bool
) -> int:
    """Print the choice of each model from each study.

    With `every_rule` each rule's verdict on each group and every path are printed too.

    Returns the exit code of a dry run: 0 if any image would be classified, 3 if none, 1 if a file
    is broken.
    """
    chosen = 0
    for card in cards:
        say(console, f"{card.name}:")
        for study in files.studies:
            if study.uid or study.instances:
                chosen += _print_study(study, card, console, every_rule, phi)
        loose = [study for study in files.studies if not (study.uid or study.instances)]
        if loose:
            say(console, f"\n  files of no study: {len(loose)}")
            records: list[Skipped | Broken] = []
            for study in loose:
                records += (*study.skipped, *study.broken)
            _print_files(records, console, every_rule)
    counts = files.counts()
    say(
        console,
        f"\n{counts['files']} files: {counts['instances']} images, {counts['skipped']} skipped, "
        f"{counts['broken']} broken",
    )
    say(console, "Research use, not for diagnosis.")
    return 1 if counts["broken"] else 0 if chosen else 3


def _print_study(study: Study, card: Card, console: Console, every_rule: bool, phi: bool) -> int:
    choice = choose(study, card.rules)
    images = len(choice.study.instances)
    name = study.uid or study.instances[0].source
    say(
        console,
        f"\n  {name if phi else pseudonym(name, 'study')}: {images} of {len(sources(study))} files "
        "would be classified",
    )
    for judged in choice.judged:
        _print_group(judged, console, every_rule, phi)
    _print_files((*study.skipped, *study.broken), console, every_rule)
    for warning in choice.warnings:
        say(console, f"    note: {warning}")
    return images


def _print_group(judged: Judged, console: Console, every_rule: bool, phi: bool) -> None:
    group, objections = judged.group, judged.objections
    why = (
        f"\n{' ' * 10}because {'; '.join(verdict.says for verdict in objections)}"
        if objections
        else ""
    )
    say(console, f"    {'no ' if objections else 'yes'} {group.label}  {group}{why}")
    if every_rule:
        for verdict in judged.verdicts:
            text = f" ({verdict.text!r})" if phi and verdict.text is not None else ""
            passed = "pass" if verdict.passed else "FAIL"
            say(console, f"          {passed} {verdict.rule}: {verdict.says}{text}")
    _print_paths([instance.source for instance in group.instances], console, every_rule)


def _print_files(records: Iterable[Skipped | Broken], console: Console, every_path: bool) -> None:
    """Files that are no images, under one line a reason."""
    reasons = defaultdict(list)
    for record in records:
        code, message = (
            (record.code, record.message)
            if isinstance(record, Skipped)
            else (f"broken, {record.error.code}", record.error.message)
        )
        reasons[code, message].append(record.source)
    for (code, message), named in sorted(reasons.items()):
        say(console, f"    no   {code}: {message}")
        _print_paths(named, console, every_path)


def _print_paths(sources: Sequence[str], console: Console, every_path: bool) -> None:
    shown = sources if every_path else sources[:_SHOWN]
    for source in shown:
        say(console, f"{' ' * 12}{source}")
    if len(sources) > len(shown):
        say(console, f"{' ' * 12}and {len(sources) - len(shown)} more")
