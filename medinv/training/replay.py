"""Holding a training against its log: what it says is checked, and chosen steps are done again.

On the machine and versions that it was made with, a step has the same loss and leaves the same
weights to the last bit, so that any change of data, order, seed, configuration or weights shows.
What was not replayed is only hashed. Verifiable by replay: whoever verifies needs the images and
trains a part again, and nothing is hidden from them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from medinv.config import Config
from medinv.data.sets.labelled import LabelledImages
from medinv.errors import ConfigError, IntegrityError, MedinvError
from medinv.models.folder import CARD, WEIGHTS
from medinv.models.shelf import read_card
from medinv.models.store import load
from medinv.training import checkpoint as checkpoints
from medinv.training import log
from medinv.training.batches import Batches
from medinv.training.journal import SNAPSHOTS, here, snapshot_at
from medinv.training.run import Run
from medinv.training.train import closed


@dataclass
class Verified:
    """What was found: `differences` in words, none where all agrees."""

    head: str  # hash of the last entry of the log
    epochs: int = 0  # of the log
    steps: int = 0
    replayed: list[str] = field(default_factory=list)
    steps_replayed: int = 0
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note a difference unless it holds."""
        if not holds:
            self.differences.append(otherwise)


@dataclass(frozen=True)
class Timeline:
    """What a log comes to: a sitting that went on from an earlier point replaces what followed."""

    begins: tuple[log.Begin, ...]
    steps: dict[int, list[log.Steps]]  # by epoch
    closed: dict[int, log.Closed]

    @classmethod
    def of(cls, entries: Sequence[log.Entry]) -> "Timeline":
        """From the entries in their order."""
        begins, steps = list[log.Begin](), dict[int, list[log.Steps]]()
        ended = dict[int, log.Closed]()
        for entry in entries:
            if isinstance(entry, log.Begin):
                begins = [b for b in begins if (b.epoch, b.step) < (entry.epoch, entry.step)]
                begins.append(entry)
                ended = {number: e for number, e in ended.items() if number <= entry.epoch}
                now = entry.epoch + 1
                steps = {number: each for number, each in steps.items() if number <= now}
                steps[now] = [each for each in steps.get(now, []) if each.last <= entry.step]
            elif isinstance(entry, log.Steps):
                steps.setdefault(entry.epoch, []).append(entry)
            else:
                ended[entry.epoch] = entry
        return cls(tuple(begins), steps, ended)

    def config(self, epoch: int) -> Config:
        """The configuration in force in an epoch, from 1."""
        (*_, last) = (begin for begin in self.begins if begin.epoch < epoch)
        return Config.model_validate(last.config)

    def state(self, epoch: int) -> str | None:
        """The state after an epoch; of 0 that at the start."""
        first = self.begins[0]
        if epoch == 0:
            return first.state if (first.epoch, first.step) == (0, 0) else None
        return self.closed[epoch].state if epoch in self.closed else None


def verify_run(
    folder: Path,
    data: LabelledImages,
    *,
    steps: int | None = 8,
    epochs: Collection[int] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Verified:
    """Hold the run in `folder` against its log, and do steps of it again with `data`.

    `steps` are done again from the start and from each snapshot; None: whole epochs, up to the next
    snapshot or the end. `epochs`: these alone, from 1. Raises ModelError where there is no log,
    IntegrityError where its chain is broken, and ConfigError where nothing can be replayed.
    """
    entries, head = log.read(folder / log.LOG)
    timeline = Timeline.of(entries)
    found = Verified(head, len(timeline.closed))
    found.steps = sum(len(each.cross_entropy) for some in timeline.steps.values() for each in some)
    _same_machine(timeline, found)
    _same_data(timeline, data, found)
    _same_order(timeline, data, found)
    _same_files(folder, timeline, found)
    starts = _starts(folder, timeline)
    chosen = [epoch for epoch in starts if not epochs or epoch + 1 in epochs]
    if not chosen:
        raise ConfigError(
            "nothing to replay from: expected the start of the run or a snapshot before epoch "
            f"{', '.join(map(str, epochs)) or 1}; steps can be replayed from the starts of epochs "
            f"{', '.join(str(epoch + 1) for epoch in starts) or 'none'} (medinv train --snapshots)"
        )
    for epoch in chosen:
        until = next((each for each in starts if each > epoch), max(timeline.steps))
        _replay(_Segment(folder, timeline, data, epoch, until), steps, found, say)
    return found


def _starts(folder: Path, timeline: Timeline) -> list[int]:
    """After how many epochs there is a state to replay from; 0: the start, which needs no file."""
    logged = range(max(timeline.steps, default=0))
    return [
        epoch
        for epoch in logged
        if epoch + 1 in timeline.steps
        and timeline.state(epoch) is not None
        and (epoch == 0 or snapshot_at(folder, epoch).is_file())
    ]


def _same_machine(timeline: Timeline, found: Verified) -> None:
    """Notes, no differences: another machine may round otherwise."""
    for begin in timeline.begins:
        if begin.processes > 1:
            raise ConfigError(
                f"{begin.processes} processes trained this network; one cannot replay their sums"
            )
    last = timeline.begins[-1]
    now: dict[str, Any] = {**here(torch.device(last.device)), "threads": torch.get_num_threads()}
    then = {"machine": last.machine, "versions": last.versions, "threads": last.threads}
    found.notes += [
        f"{name}: the run had {then[name]}, this has {now[name]}: a last digit may differ"
        for name in then
        if then[name] != now[name]
    ]


def _same_data(timeline: Timeline, data: LabelledImages, found: Verified) -> None:
    now = data.sha256()
    found.expect(
        all(begin.data_sha256 == now for begin in timeline.begins),
        "data: these images, labels or parts are others than the log names",
    )


def _same_order(timeline: Timeline, data: LabelledImages, found: Verified) -> None:
    """Which images in which order follows from the seed, and is checked in every epoch."""
    for epoch, entries in timeline.steps.items():
        rows = Batches(data.train, timeline.config(epoch)).rows(epoch - 1)
        for each in entries:
            found.expect(
                log.of_rows(rows[each.first - 1 : each.last]) == each.rows,
                f"order: epoch {epoch}, steps {each.first} to {each.last}: the seed and this set "
                "give other images, or the same in another order",
            )


def _same_files(folder: Path, timeline: Timeline, found: Verified) -> None:
    """The files beside the log are those that it ends with."""
    last = timeline.closed.get(max(timeline.closed, default=0))
    if last is None or not (folder / CARD).is_file():
        found.notes.append("no model is published yet: its weights were not compared")
        return
    try:
        card, model = read_card(folder), load(folder, dtype=torch.float32)
    except IntegrityError as error:
        found.differences.append(f"weights: {error}")
        return
    found.expect(
        card.config.sha256() == timeline.config(last.epoch).sha256(),
        f"{CARD}: its configuration, with its seed, is not that of the log",
    )
    if card.config.train.blend:
        found.notes.append(
            "train.blend: the model's weights lie between those of another model and of "
            "the log's end, and were not compared"
        )
        return
    if getattr(card.config.train, "silent", False):
        found.notes.append(
            "train.silent: the model's class means moved after the log's end; its weights were not "
            "compared"
        )
        return
    found.expect(log.of_weights(model) == last.kept, f"{WEIGHTS}: not the weights of the log's end")


@dataclass(frozen=True)
class _Segment:
    """What can be replayed without a gap: from after `start` epochs up to the end of `until`."""

    folder: Path
    timeline: Timeline
    data: LabelledImages
    start: int
    until: int


def _replay(
    segment: _Segment, steps: int | None, found: Verified, say: Callable[[str], None]
) -> None:
    """Do the steps of a segment again, until one differs."""
    timeline, data, start = segment.timeline, segment.data, segment.start
    config = timeline.config(start + 1)
    device = timeline.begins[-1].device
    batches = Batches(data.train, config, device=device)
    run = Run(config, data.train, device, batches.steps)
    where = "start" if start == 0 else f"{SNAPSHOTS}/{snapshot_at(segment.folder, start).name}"
    if start:
        belongs = checkpoints.identity(config, data.sha256())
        try:
            run.resume(snapshot_at(segment.folder, start), belongs, lambda text: None)
        except MedinvError as error:
            found.differences.append(f"{where}: {error.message}")
            return
    if log.of_state(run.parts()) != timeline.state(start):
        found.differences.append(
            f"{where}: the network, its seed or its optimiser are not in the state that the log "
            f"names after epoch {start}"
        )
        if not start and config.train.start:
            found.notes.append(
                f"train.start: the run began with {config.train.start}; if that model has changed "
                "since, the start cannot be replayed"
            )
        return
    before, count = len(found.differences), found.steps_replayed
    for epoch in range(start + 1, segment.until + 1):
        if timeline.config(epoch) != config:
            found.notes.append(f"epoch {epoch}: another configuration from here on; not replayed")
            break
        run.begin(epoch - 1)
        _epoch(run, batches, timeline.steps[epoch], found, say, most=steps)
        if steps is not None or len(found.differences) > before:
            break
        if epoch in timeline.closed:
            _end(run, data, timeline.closed[epoch], found)
    found.replayed.append(f"{where}, {found.steps_replayed - count} steps")


def _epoch(
    run: Run,
    batches: Batches,
    entries: Sequence[log.Steps],
    found: Verified,
    say: Callable[[str], None],
    *,
    most: int | None,
) -> None:
    """The first steps of an epoch, up to the first that differs."""
    number = entries[0].epoch
    for (images, labels), (entry, step) in zip(
        batches.epoch(number - 1), _logged(entries), strict=False
    ):
        if most is not None and step > most:
            return
        loss, _ = run.step(images, labels)
        found.steps_replayed += 1
        say(f"epoch {number}, step {step} of {batches.steps}")
        where, logged = f"epoch {number}, step {step}", entry.cross_entropy[step - entry.first]
        if loss != logged:
            found.differences.append(f"loss: {where}: the log says {logged:.9g}, it is {loss:.9g}")
            return
        hashed = entry.weights.get(str(step))
        if hashed is not None and hashed != log.of_weights(run.model):
            found.differences.append(f"weights: {where}: others come of it than the log names")
            return
        if step == entry.last and log.of_state(run.parts()) != entry.state:
            found.differences.append(f"state: {where}: another comes of it than the log names")
            return


def _logged(entries: Sequence[log.Steps]) -> Iterator[tuple[log.Steps, int]]:
    return ((entry, step) for entry in entries for step in range(entry.first, entry.last + 1))


def _end(run: Run, data: LabelledImages, logged: log.Closed, found: Verified) -> None:
    """Close a replayed epoch: its figures on validation images, and the weights to keep."""
    record = vars(closed(run, data.validation))
    differing = [
        name for name in record if name != "seconds" and record[name] != logged.record[name]
    ]
    where = f"epoch {logged.epoch}"
    found.expect(not differing, f"record: {where}: other values of {', '.join(differing)}")
    found.expect(log.of_weights(run.best) == logged.kept, f"weights to keep: {where}: others")
    found.expect(log.of_state(run.parts()) == logged.state, f"state: {where}: another at its end")
