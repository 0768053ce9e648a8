"""Kinds of DICOM objects that are no images, as codes for machines."""

# Words in the names of SOP classes (PS3.6 table A-1), the first that fits.
_WORDS = (
    ("Key Object", "key-objects"), (" SR ", "structured-report"),
    ("Simplified Adult Echo", "structured-report"), ("Presentation State", "presentation-state"),
    ("Radiotherapy", "radiotherapy"), ("RT ", "radiotherapy"), ("Segmentation", "segmentation"),
    ("Waveform", "waveform"), ("ECG", "waveform"),
    ("Encapsulated", "document"), ("Registration", "registration"), ("Fiducials", "registration"),
    ("Spectroscopy", "spectroscopy"), ("Raw Data", "raw-data"),
)  # fmt: skip


def code(name: str) -> str:
    """The code of a SOP class by its name in the standard."""
    return next((kind for words, kind in _WORDS if words in name), "no-pixel-data")
