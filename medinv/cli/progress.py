"""What `medinv train` shows while it runs: a bar on a terminal, plain lines elsewhere."""

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from medinv.training.train import Epoch, Step

EVERY = 60.0  # seconds between plain lines within an epoch


class TrainingProgress:
    """Steps and epochs as they are done, with what validation images say and the time left."""

    def __init__(self, epochs: int, console: Console):
        self.epochs, self.console = epochs, console
        self.bar = _bar(console) if console.is_terminal else None
        self.task: TaskID | None = None
        self._clock: tuple[float, int] | None = None  # when the first step seen was done, which
        self._said = time.monotonic()

    def __enter__(self) -> "TrainingProgress":
        if self.bar is not None:
            self.bar.start()
            self.task = self.bar.add_task("", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def step(self, step: "Step") -> None:
        """One step is done."""
        now, done = time.monotonic(), (step.epoch - 1) * step.steps + step.number
        if self._clock is None:
            self._clock = (now, done)
        start, first = self._clock
        total = self.epochs * step.steps
        left = (now - start) / (done - first) * (total - done) if done > first else None
        text = (
            f"epoch {step.epoch}/{self.epochs}, step {step.number}/{step.steps}, "
            f"cross-entropy {step.cross_entropy:.4f}, {_left(left)}"
        )
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=done, total=total, description=text)
        elif now - self._said > EVERY:
            self.say(text)
            self._said = now

    def epoch(self, epoch: "Epoch") -> None:
        """One epoch is done."""
        self._said = time.monotonic()
        bits = "" if epoch.bits_per_pixel is None else f"  {epoch.bits_per_pixel:.3f} bits a pixel"
        self.say(
            f"epoch {epoch.number}/{self.epochs}  cross-entropy {epoch.cross_entropy:.4f}{bits}  "
            f"validation: AUC {epoch.validation:.3f}, accuracy {epoch.validation_accuracy:.3f}, "
            f"cross-entropy {epoch.validation_cross_entropy:.4f}  {epoch.seconds:.0f} s"
        )


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20))
    return Progress(*columns, console=console, transient=True, refresh_per_second=2)


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "time left not yet known"
    if seconds < 90:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 5400 else f"{seconds / 3600:.1f} h left"
