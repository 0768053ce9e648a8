"""What is written of a run beside its weights: metrics.csv always, TensorBoard's where it is."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from medinv.files import write_whole
from medinv.training.train import Epoch

CSV, CURVES = "metrics.csv", "tensorboard"


class Record:
    """Writes a row and a point of each curve an epoch, into a model's folder."""

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda text: None):
        self.folder, self.epochs = folder, list[Epoch]()
        self._writer = _writer(folder / CURVES, say)

    def add(self, epochs: Sequence[Epoch]) -> None:
        """Take epochs, those of an earlier sitting included. Raises OutputError."""
        if not epochs:
            return
        self.epochs += epochs
        stream = io.StringIO()
        table = csv.DictWriter(stream, [each.name for each in fields(Epoch)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(epoch) for epoch in self.epochs)
        write_whole(self.folder / CSV, stream.getvalue().encode())
        if self._writer is None:
            return
        for epoch in epochs:
            for name, value in asdict(epoch).items():
                if name != "number" and value is not None:
                    self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()


def _writer(folder: Path, say: Callable[[str], None]):  # type: ignore[no-untyped-def]
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say(f"no TensorBoard here (pip install 'medinv[tensorboard]'); {CSV} has every figure")
        return None
    return SummaryWriter(str(folder))
