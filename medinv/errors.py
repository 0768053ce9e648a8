"""Every exception that medinv raises.

    MedinvError
    ├── ConfigError
    │   └── DeviceError
    ├── ShapeError
    ├── InternalError
    ├── NetworkError
    ├── SingularError
    ├── ConvergenceError
    ├── ModelError
    │   ├── ModelNotFoundError
    │   └── IntegrityError
    ├── DataError
    │   ├── MissingDataError
    │   ├── NothingEligibleError
    │   ├── NotDicomError
    │   ├── HeaderError
    │   ├── TwoPatientsError
    │   ├── RepeatedUidError
    │   ├── PixelDataError
    │   ├── ArchiveError
    │   ├── CrashedError
    │   ├── TimedOutError
    │   ├── MemoryBudgetError
    │   └── UnaccountedError
    ├── PeerError
    │   ├── UnreachableError
    │   └── RefusedError
    └── OutputError
        └── ExportError

Each carries a `code` (stable, for machines), the `stage` at which it was met, and, where one file
is to blame, its `path`.
"""

from pathlib import Path
from traceback import extract_tb


class MedinvError(Exception):
    """Root of the tree. The message says what was expected, what came and what to do."""

    code = "error"
    stage = "run"

    def __init__(self, message: str, *, path: str | Path | None = None, stage: str | None = None):
        super().__init__(message)
        self.message = message
        self.path = None if path is None else str(path)
        self.stage = stage or type(self).stage

    def __str__(self) -> str:
        return self.message if self.path is None else f"{self.path}: {self.message}"


class ConfigError(MedinvError):
    """A configuration file, an override or an argument that cannot be used."""

    code, stage = "config", "config"


class DeviceError(ConfigError):
    """A device to compute on that this machine does not have."""

    code = "device"


class InternalError(MedinvError):
    """An error that nobody foresaw: our fault. It says its type and place, and quotes no value."""

    code, stage = "internal", "run"


class ShapeError(MedinvError):
    """A tensor of the wrong shape, dtype or range."""

    code, stage = "shape", "network"


class NetworkError(MedinvError):
    """A forward pass that failed."""

    code, stage = "network", "network"


class SingularError(MedinvError):
    """A layer that has no inverse, or none that is stable."""

    code, stage = "singular", "network"


class ConvergenceError(MedinvError):
    """An iteration that did not reach its stated residual within its stated bound."""

    code, stage = "convergence", "network"


class ModelError(MedinvError):
    """A model that cannot be used: its files, its card or what it was asked for."""

    code, stage = "model", "model"


class ModelNotFoundError(ModelError):
    """No model of that name, and no such folder."""

    code = "model-not-found"


class IntegrityError(ModelError):
    """Weights that do not match their card or, of a shipped model, its pinned hashes."""

    code = "model-integrity"


class DataError(MedinvError):
    """An input that cannot be used."""

    code, stage = "data", "read"


class MissingDataError(DataError):
    """A path or a data set that is not there."""

    code = "missing"


class NothingEligibleError(DataError):
    """Files, but no image among them that may be used."""

    code, stage = "nothing-eligible", "selection"


class NotDicomError(DataError):
    """A file that is not DICOM."""

    code = "not-dicom"


class HeaderError(DataError):
    """A header that is absent, contradicts itself or cannot be trusted."""

    code, stage = "header", "header"


class TwoPatientsError(DataError):
    """Images of one study whose headers are of two patients: nothing is read of it."""

    code, stage = "two-patients", "patients"


class RepeatedUidError(DataError):
    """One SOP Instance UID on images that differ."""

    code, stage = "repeated-uid", "index"


class PixelDataError(DataError):
    """Pixel data that are absent, truncated or cannot be decoded."""

    code, stage = "pixel-data", "pixels"


class ArchiveError(DataError):
    """A zip that is damaged, unsafe or too large."""

    code, stage = "archive", "archive"


class CrashedError(DataError):
    """A file on which the process that read it died; the batch goes on without it."""

    code = "crashed"


class TimedOutError(DataError):
    """A study that was not read in the time allowed."""

    code = "timeout"


class MemoryBudgetError(DataError):
    """An image that needs more memory than allowed."""

    code = "memory"


class UnaccountedError(DataError):
    """A study whose images do not add up to its files: a fault of medinv, not of the data."""

    code = "unaccounted"

    def __init__(self, what: str):
        super().__init__(
            f"{what}; no result is given, as a file would be lost or counted twice: this is a "
            "fault of medinv, please report it"
        )


class PeerError(MedinvError):
    """A DICOM node that could not be worked with."""

    code, stage = "peer", "dicom network"


class UnreachableError(PeerError):
    """Nobody answered, or the node was busy: to be tried again."""

    code = "unreachable"


class RefusedError(PeerError):
    """The node answered and said no: trying again changes nothing."""

    code = "refused"


class OutputError(MedinvError):
    """A result that cannot be written."""

    code, stage = "output", "write"


class ExportError(OutputError):
    """A model that an exporter does not take, or gave back as another one."""

    code, stage = "export", "export"


def typed(error: Exception) -> MedinvError:
    """The error itself if it is one of the tree, else an InternalError that names its type and the
    last line of medinv that it came through, but not its message, which may quote a patient."""
    if isinstance(error, MedinvError):
        return error
    package = Path(__file__).parent
    lines = [
        f"{Path(frame.filename).relative_to(package.parent).as_posix()}:{frame.lineno}"
        for frame in extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(package)
    ]
    where = f" at {lines[-1]}" if lines else ""
    return InternalError(
        f"{type(error).__name__}{where}: this is a fault of medinv, please report it"
    )
