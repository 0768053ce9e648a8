"""Every exception that medinv raises.

    MedinvError
    ├── ConfigError              a configuration file or override that cannot be used
    ├── ShapeError               a tensor of the wrong shape, dtype or range
    ├── InternalError            an error that nobody foresaw: our fault
    ├── NetworkError             a forward pass that failed
    ├── SingularError            a layer that has no (stable) inverse
    ├── ConvergenceError         an iteration that did not reach its stated residual within its stated bound
    ├── ModelError               a model that cannot be used
    │   ├── ModelNotFoundError       no such name or folder
    │   └── IntegrityError           weights that do not match their card
    ├── DataError                an input that cannot be used
    │   ├── MissingDataError         a path or data set that is not there
    │   ├── NotDicomError            a file that is not DICOM
    │   ├── HeaderError              a DICOM header that cannot be trusted
    │   ├── TwoPatientsError         images of one study whose headers are of two patients
    │   ├── RepeatedUidError         one SOP Instance UID on images that differ
    │   ├── PixelDataError           pixel data that are absent, truncated or cannot be decoded
    │   ├── ArchiveError             a zip that is damaged, unsafe or too large
    │   ├── CrashedError             a file on which the process that read it died
    │   ├── TimedOutError            a study that was not read in the time allowed
    │   ├── MemoryBudgetError        an image that needs more memory than allowed
    │   └── UnaccountedError         a study whose images do not add up to its files: our fault
    ├── PeerError                a DICOM node that could not be worked with
    │   ├── UnreachableError         nobody answered, or the node was busy: to be tried again
    │   └── RefusedError             the node answered and said no: trying again changes nothing
    └── OutputError              a result that cannot be written

Each carries a `code` (stable, for machines), the `stage` at which it was met, and, where one file is to blame, its `path`.
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
    code, stage = "config", "config"


class InternalError(MedinvError):
    code, stage = "internal", "run"


class ShapeError(MedinvError):
    code, stage = "shape", "network"


class NetworkError(MedinvError):
    code, stage = "network", "network"


class SingularError(MedinvError):
    code, stage = "singular", "network"


class ConvergenceError(MedinvError):
    code, stage = "convergence", "network"


class ModelError(MedinvError):
    code, stage = "model", "model"


class ModelNotFoundError(ModelError):
    code = "model-not-found"


class IntegrityError(ModelError):
    code = "model-integrity"


class DataError(MedinvError):
    code, stage = "data", "read"


class MissingDataError(DataError):
    code = "missing"


class NotDicomError(DataError):
    code = "not-dicom"


class HeaderError(DataError):
    code, stage = "header", "header"


class TwoPatientsError(DataError):
    code, stage = "two-patients", "patients"


class RepeatedUidError(DataError):
    code, stage = "repeated-uid", "index"


class PixelDataError(DataError):
    code, stage = "pixel-data", "pixels"


class ArchiveError(DataError):
    code, stage = "archive", "archive"


class CrashedError(DataError):
    code = "crashed"


class TimedOutError(DataError):
    code = "timeout"


class MemoryBudgetError(DataError):
    code = "memory"


class UnaccountedError(DataError):
    code = "unaccounted"

    def __init__(self, what: str):
        super().__init__(
            f"{what}; no result is given, as a file would be lost or counted twice: this is a "
            "fault of medinv, please report it"
        )


class PeerError(MedinvError):
    code, stage = "peer", "dicom network"


class UnreachableError(PeerError):
    code = "unreachable"


class RefusedError(PeerError):
    code = "refused"


class OutputError(MedinvError):
    code, stage = "output", "write"


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
    place = f" at {lines[-1]}" if lines else ""
    return InternalError(
        f"{type(error).__name__}{place}: this is a fault of medinv, please report it"
    )
