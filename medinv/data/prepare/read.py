"""From items to an array on the disk: each image taken in as a model is shown it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from medinv.data.dicom.orientation import Turn
from medinv.data.dicom.records import Broken, Instance
from medinv.data.frame import Frame, InputSpec
from medinv.data.intake import FramesRead, ReadRequest, read_frames, read_whole
from medinv.data.prepare.labelled import Item
from medinv.data.prepare.write import Refused
from medinv.errors import typed

Read = Callable[[Iterable[ReadRequest]], Iterator[FramesRead]]
Progress = Callable[[int, int], None]
_MOST = 64  # files of a request: enough that messages cost nothing, few enough for little memory


@dataclass
class Taken:
    """Images in the order of the items, (N, C, *size); of those refused only the place is there."""

    images: np.ndarray
    digests: list[str]  # SHA-256 of each, empty for a refused one
    turns: dict[int, Turn] = field(default_factory=dict)  # from an image as stored to as it is read
    refused: dict[int, Refused] = field(default_factory=dict)  # by number

    def put(self, number: int, item: Item, image: np.ndarray) -> None:
        """Keep an image, unless all of it is one grey level: that shows nothing."""
        if image.min() == image.max():
            says = "every pixel has one grey level: there is nothing to see"
            self.refused[number] = Refused(item.image.shown, "blank", says)
            return
        self.images[number] = image
        self.digests[number] = hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()

    def refuse(self, number: int, item: Item, code: str, message: str) -> None:
        """Note why an image could not be read."""
        self.refused[number] = Refused(item.image.shown, code, message, fault=True)


def room_for(count: int, spec: InputSpec, scratch: Path, kind: np.dtype | type = np.uint8) -> Taken:
    """For so many images, on the disk."""
    path, shape = scratch / "images.npy", (count, *spec.shape)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    return Taken(images, [""] * count)


Take = Callable[[Sequence[Item], InputSpec, Path, Progress], Taken]
"""Takes in all items, with a folder for what is too large for the memory."""


def take_images(
    items: Sequence[Item], spec: InputSpec, scratch: Path, progress: Progress, *, read: Read
) -> Taken:
    """Read every item's frame, or volume, into a file. One that cannot be read stops nothing."""
    taken = room_for(len(items), spec, scratch)
    wanted = {
        (item.image.instances[0].source, item.image.frame): number
        for number, item in enumerate(items)
    }
    by_source: dict[str, list[int]] = {}
    for (source, _), number in wanted.items():
        by_source.setdefault(source, []).append(number)
    done = 0
    for answer in read(_requests(items, spec)):
        for frame in answer.frames:
            if frame.key in wanted:
                number = wanted.pop(frame.key)
                taken.put(number, items[number], frame.inputs[spec])
                taken.turns[number] = frame.turn
                done += 1
        for broken in answer.broken:
            # of a volume every slice is broken: the first stands for it
            for number in by_source.get(broken.source, ()):
                wanted.pop((broken.source, items[number].image.frame), None)
                error = broken.error
                taken.refuse(number, items[number], error.code, error.message)
                done += 1
        progress(done, len(items))
    for number in wanted.values():
        taken.refuse(
            number, items[number], "unaccounted", "reading it gave neither image nor error"
        )
    return taken


def _requests(items: Sequence[Item], spec: InputSpec) -> Iterator[ReadRequest]:
    """Volumes one by one, images some files at a time, in the order of the items."""
    if len(spec.size) == 3:
        for number, item in enumerate(items):
            slices = item.image.instances
            yield ReadRequest(slices, (spec,), whole=len(slices), study_index=number)
        return
    files = {item.image.instances[0].source: item.image.instances[0] for item in items}
    instances = list(files.values())
    for start in range(0, len(instances), _MOST):
        few = tuple(instances[start : start + _MOST])
        yield ReadRequest(few, (spec,), hashed=False, study_index=start // _MOST)


def read_here(requests: Iterable[ReadRequest]) -> Iterator[FramesRead]:
    """Read in this process, which a decoder that crashes ends: for few files, and for tests."""
    for request in requests:
        answer = FramesRead(request.study_index)
        if request.whole is not None:
            _attempt(answer, request.instances[0], partial(_whole, request))
        else:
            for one in request.instances:
                _attempt(answer, one, partial(_each, one, request))
        yield answer


def _whole(request: ReadRequest) -> list[Frame]:
    return [read_whole(request)]


def _each(instance: Instance, request: ReadRequest) -> list[Frame]:
    return list(read_frames(instance, request))


def _attempt(answer: FramesRead, instance: Instance, read: Callable[[], list[Frame]]) -> None:
    try:
        answer.frames += read()
    except Exception as error:
        answer.broken.append(Broken(instance.source, instance.study_uid, typed(error)))
