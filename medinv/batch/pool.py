"""Several readers side by side, within a budget of memory, ahead of the network."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from queue import Empty, Queue

from medinv.batch.workers import Reader, Stopped
from medinv.data.dicom.decode import SYNTAXES, is_native
from medinv.data.dicom.records import Broken, Instance
from medinv.data.intake import FramesRead, ReadRequest
from medinv.errors import DataError, MemoryBudgetError

AHEAD = 256  # images that may wait for the network; a longer study waits alone
ENOUGH = 64  # images that the network need not wait for more than
PATIENCE = 0.1  # seconds that the network waits at most for more than one study
_SHARE = 4  # and times as long as it was last busy: it is then so for a fifth of the time
_DEFLATED = ".1.99"  # ending of its transfer syntax
_FINEST = 8  # rows that an average of the lossless intake covers at least
# on the estimate below, whose factors were measured on files of all kinds; bytes
_MARGIN, _FIXED = 1.25, 8 << 20
_A_VOXEL = 24  # bytes, of a volume on its way to grey levels: values, their order, levels


def needed(instance: Instance, square: int = 0) -> int:
    """Bytes that reading an image takes at most, by its header.

    That is the file, and one frame on its way to grey levels. square: side of the largest network
    input of the lossless intake, which spreads the image to a multiple of it; 0 for the resizing.
    """
    word, pixels = -(-instance.bits_allocated // 8), instance.rows * instance.columns
    frame = pixels * instance.samples * word
    compressed = instance.transfer_syntax not in SYNTAXES and not instance.transfer_syntax.endswith(
        _DEFLATED
    )
    unused = instance.bits_stored < instance.bits_allocated  # bits that may have to go
    decoded = 2 * frame if not is_native(instance) else frame if unused else 0
    decoder = 4 * pixels * instance.samples if compressed else 0
    shown = pixels * (48 if word > 2 else 16 if instance.samples > 1 else 1)
    spread = _spread(instance, square) * (48 if word > 2 else 24) if square else 0
    return (
        int(_MARGIN * (_content(instance, frame, compressed) + decoded + decoder + shown + spread))
        + _FIXED
    )


def _content(instance: Instance, frame: int, compressed: bool) -> int:
    """The file as it is read, its Pixel Data where they are copied out of it, the encoded frame."""
    try:
        file = instance.location.size()
    except (OSError, DataError, KeyError):  # it is gone, which reading will say
        file = 0
    unpacked = 2 * file if instance.location.member else 0  # by the zip, beside the content
    inflated = 2 * instance.frames * frame if instance.transfer_syntax.endswith(_DEFLATED) else 0
    return 2 * file + unpacked + inflated + (file // instance.frames if compressed else 0)


def _voxels(request: ReadRequest) -> int:
    return sum(one.rows * one.columns * one.frames for one in request.instances)


def _spread(instance: Instance, square: int) -> int:
    """Pixels of the square that the lossless intake makes of an image."""
    side = _FINEST * square
    while side < max(instance.rows, instance.columns):
        side *= 2
    return side**2


class Budget:
    """Bytes that readers may take together."""

    def __init__(self, total: int):
        self.total, self._free, self._changed = total, total, threading.Condition()

    def take(self, amount: int) -> None:
        """Wait until so many are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount

    def give(self, amount: int) -> None:
        """Free so many."""
        with self._changed:
            self._free += amount
            self._changed.notify_all()


class Pool:
    """Iterate over it for what reading each request gave, in whatever order they get done.

    Use it in a `with`, which ends the readers.
    """

    def __init__(
        self,
        requests: Iterable[ReadRequest],
        readers: Sequence[Reader],
        *,
        timeout: float,
        memory: int,
    ):
        self._requests, self._lock = iter(requests), threading.Lock()
        self._timeout, self._budget = timeout, Budget(memory)
        self._done: Queue[tuple[int, FramesRead | BaseException | None]] = Queue()
        self._room, self._closing, self._readers = Budget(AHEAD), threading.Event(), readers
        self._threads = [
            threading.Thread(target=self._work, args=(reader,), daemon=True) for reader in readers
        ]
        self._working = len(readers)

    def __enter__(self) -> "Pool":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._room.give(1 << 62)  # so that no thread waits for it
        for reader in self._readers:
            reader.stop()

    def __iter__(self) -> Iterator[list[FramesRead]]:
        """Lists of the studies that are done: all that wait, one at least.

        Who asks again sooner than they are read is made to wait a little, for a longer list.
        """
        busy, last = 0.0, 0
        while self._working:
            studies = self._waiting(min(PATIENCE, _SHARE * busy), last)
            began, last = time.monotonic(), _images(studies)
            if studies:
                yield studies
            busy = time.monotonic() - began

    def _waiting(self, patience: float, last: int) -> list[FramesRead]:
        """All studies that wait.

        More are waited for unless there are as many images as the `last` time: then it is the
        network that is waited for.
        """
        studies = [*(self._take(None) or ())]
        while self._working and (more := self._take(0)) is not None:
            studies += more
        until, wanted = (
            time.monotonic() + patience,
            ENOUGH if _images(studies) < last or not last else 0,
        )
        while (
            self._working
            and _images(studies) < wanted
            and (more := self._take(max(until - time.monotonic(), 0))) is not None
        ):
            studies += more
        return studies

    def _take(self, seconds: float | None) -> list[FramesRead] | None:
        """The next that is done, if it is a study; None if nothing is done in time.

        Raises what a reader's thread died of.
        """
        try:
            room, item = (
                self._done.get(timeout=seconds) if seconds != 0 else self._done.get_nowait()
            )
        except Empty:
            return None
        self._room.give(room)
        if isinstance(item, BaseException):
            raise item
        self._working -= item is None
        return [] if item is None else [item]

    def _work(self, reader: Reader) -> None:
        last: BaseException | None = None
        try:
            while not self._closing.is_set():
                with self._lock:
                    request = next(self._requests, None)
                if request is None:
                    break
                self._put(self._read(reader, request))
        except Stopped:
            pass
        except Exception as error:
            last = error
        self._put(last)
        reader.stop()

    def _read(self, reader: Reader, request: ReadRequest) -> FramesRead:
        """Read what the memory allows; the rest is broken by name."""
        sides = (side for spec in request.specs for side in spec.size)
        square = max(sides, default=0) if request.lossless else 0
        volume = _voxels(request) * _A_VOXEL if request.whole else 0
        needs = [(instance, needed(instance, square) + volume) for instance in request.instances]
        fits = tuple(instance for instance, need in needs if need <= self._budget.total)
        amount = max(
            (need for _, need in needs if need <= self._budget.total), default=0
        )  # images are read one after the other
        self._budget.take(amount)
        try:
            read = reader.read(replace(request, instances=fits), self._timeout)
        finally:
            self._budget.give(amount)
        read.broken += [
            _refused(instance, need, self._budget.total)
            for instance, need in needs
            if need > self._budget.total
        ]
        return read

    def _put(self, item: FramesRead | BaseException | None) -> None:
        room = min(_images([item]), AHEAD) if isinstance(item, FramesRead) else 0
        self._room.take(room)
        self._done.put((room, item))


def _images(studies: Sequence[FramesRead]) -> int:
    """Images that were read; a study without any counts for one."""
    return sum(max(len(study.frames), 1) for study in studies)


def _refused(instance: Instance, need: int, allowed: int) -> Broken:
    error = MemoryBudgetError(
        f"reading it needs about {need / 1e9:.2f} GB by its header, {allowed / 1e9:.2f} are "
        "allowed; allow more with --memory and --retry-failed",
        path=instance.source,
    )
    return Broken(instance.source, instance.study_uid, error)
