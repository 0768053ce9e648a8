"""Several readers side by side, within a budget of memory, ahead of the network."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from queue import Empty, Full, Queue

from medinv.batch.workers import Reader, ReadStudy, Request, Stopped
from medinv.data.dicom.records import Broken, Instance
from medinv.errors import DataError, MemoryBudgetError

AHEAD = 4  # studies that may wait for the network, a reader


def needed(instance: Instance) -> int:
    """Bytes that reading an image takes at most, by its header: the file twice (as read, as Pixel Data), and one frame decoded and as grey levels."""
    native = instance.rows * instance.columns * instance.samples * -(-instance.bits_allocated // 8)
    try:
        file = instance.location.size()
    except (OSError, DataError, KeyError):  # it is gone, which reading will say
        file = 0
    return 2 * max(file, native if instance.transfer_syntax.endswith(".1.99") else 0) + 4 * native + 24 * instance.rows * instance.columns


class Budget:
    """Bytes that readers may take together."""

    def __init__(self, total: int):
        self.total, self._free, self._changed = total, total, threading.Condition()

    def take(self, amount: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount

    def give(self, amount: int) -> None:
        with self._changed:
            self._free += amount
            self._changed.notify_all()


class Pool:
    """Iterate over it for what reading each request gave, in whatever order they get done; use it in a `with`, which ends the readers."""

    def __init__(self, requests: Iterable[Request], *, readers: int, timeout: float, memory: int):
        self._requests, self._lock, self._timeout, self._budget = iter(requests), threading.Lock(), timeout, Budget(memory)
        self._done: Queue[ReadStudy | BaseException | None] = Queue(AHEAD * readers)
        self._closing = threading.Event()
        self._readers = [Reader() for _ in range(readers)]
        self._threads = [threading.Thread(target=self._work, args=(reader,), daemon=True) for reader in self._readers]
        self._working = readers

    def __enter__(self) -> "Pool":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for reader in self._readers:
            reader.stop()

    def __iter__(self) -> Iterator[list[ReadStudy]]:
        """Lists of the studies that are done: one at least, more if they wait."""
        while self._working:
            found = [self._done.get()]
            try:
                while True:
                    found.append(self._done.get_nowait())
            except Empty:
                pass
            for error in found:
                if isinstance(error, BaseException):
                    raise error
            self._working -= found.count(None)
            if studies := [study for study in found if study is not None]:
                yield studies

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
        except Exception as error:  # noqa: BLE001 - to be raised where the studies are waited for
            last = error
        self._put(last)
        reader.stop()

    def _read(self, reader: Reader, request: Request) -> ReadStudy:
        """Read what the memory allows; the rest is broken by name."""
        needs = [(instance, needed(instance)) for instance in request.instances]
        fits = tuple(instance for instance, need in needs if need <= self._budget.total)
        amount = max((need for _, need in needs if need <= self._budget.total), default=0)  # images are read one after the other
        self._budget.take(amount)
        try:
            study = reader.read(replace(request, instances=fits), self._timeout)
        finally:
            self._budget.give(amount)
        study.broken += [_refused(instance, need, self._budget.total) for instance, need in needs if need > self._budget.total]
        return study

    def _put(self, item: ReadStudy | BaseException | None) -> None:
        while not self._closing.is_set():
            try:
                return self._done.put(item, timeout=0.2)
            except Full:
                continue


def _refused(instance: Instance, need: int, allowed: int) -> Broken:
    message = f"reading it needs about {need / 1e9:.2f} GB by its header, {allowed / 1e9:.2f} are allowed; allow more with --memory and --retry-failed"
    return Broken(instance.source, instance.study_uid, MemoryBudgetError(message, path=instance.source))
