"""Whether answers stay where images are turned by quarters, mirrored or shifted.

A network whose layers turn with the image (see `layers.equivariant`) cannot answer otherwise; of
others it has to be measured. On images that have an upright position, such as films, another answer
to a turned one is no fault where it is flagged; on those that have none, such as cells, it is.
"""

from collections.abc import Callable, Iterator

from torch import Tensor

from medinv.audit.changes import UNIT
from medinv.audit.measures import Bench, Figures
from medinv.audit.result import Figure
from medinv.explanation.cycle_spinning import moved
from medinv.metrics import share

ORIENTATION = "Turned by quarters, and shifted"
TURNS = (
    ("quarter-left", "quarter turn left", 1),
    ("half", "half turn", 2),
    ("quarter-right", "quarter turn right", 3),
)
SHIFTS = (1, 4, 8)  # pixels of 64


def lying(images: Tensor) -> Iterator[tuple[str, str, Tensor]]:
    """Images (N, C, *size) that lie or stand elsewhere: key, name and the images.

    Quarter turns only where the last two sides are equally long. What a shift to the right brings
    in at the border repeats it.
    """
    square = images.shape[-1] == images.shape[-2]
    for key, name, quarters in TURNS:
        if square or quarters == 2:
            yield key, name, images.rot90(quarters, (-2, -1))
    for pixels in SHIFTS:
        by = max(1, round(pixels * UNIT * images.shape[-1]))
        yield f"shift-{pixels}", f"shift by {pixels} of 64", moved(images, (0, by))


def orientation(bench: Bench) -> Figures:
    """Of all images, turned by quarters and shifted: what `changes` has of those mirrored."""
    yield from answers(bench, lying)


def answers(
    bench: Bench, changes: Callable[[Tensor], Iterator[tuple[str, str, Tensor]]]
) -> Figures:
    """Of each change the share with another label and no flag, and the share that is flagged."""
    for key, name, changed in changes(bench.sample.images):
        now = bench.ask(changed)
        other = (now.called != bench.answers.called) & ~now.flagged
        for end, text, hits in (
            ("", "another label and no flag", other),
            (".flagged", "no label", now.flagged),
        ):
            told = share(hits, bench.patients)
            named = f"{name}: {text}"
            yield Figure(
                key=f"orientation.{key}{end}", group=ORIENTATION, name=named, estimate=told
            )
