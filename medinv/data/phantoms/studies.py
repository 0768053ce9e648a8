"""Folders of phantom studies: DICOM, and beside it masks, labels and every parameter."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset

from medinv.data.phantoms.ct import volume
from medinv.data.phantoms.dicom import Format, ct_datasets, radiograph_dataset, uid
from medinv.data.phantoms.draw import Recipe, draw
from medinv.data.phantoms.radiograph import display, radiograph
from medinv.data.phantoms.record import Phantom
from medinv.data.phantoms.sets import SAMPLE_SEED
from medinv.errors import ConfigError, OutputError

RADIOGRAPH_SIZE, CT_SIZE, CT_SLICES = 512, 128, 14


@dataclass(frozen=True)
class Plan:
    """What one study of a folder shows and how it is stored."""

    recipe: Recipe
    form: Format = Format()
    ct: bool = False


_CLEAR = Recipe(opacity_share=0.0)
_NODULE, _PATCH, _GLASS = (
    Recipe(1.0, 0.0, (kind,)) for kind in ("nodule", "consolidation", "ground-glass")
)
PLANS = (
    Plan(_CLEAR, Format(syntax="jpeg-ls")),
    Plan(_NODULE, Format(syntax="jpeg-ls"), ct=True),
    Plan(_PATCH, Format("CR", syntax="jpeg-ls")),
    Plan(_CLEAR, Format(inverted=True, syntax="jpeg-2000"), ct=True),
    Plan(_GLASS, Format(syntax="jpeg-2000")),
    Plan(_CLEAR, Format("CR", syntax="rle")),
    Plan(replace(_NODULE, subtle_share=1.0), Format(syntax="jpeg-ls")),
    Plan(Recipe(1.0, 0.0, ("consolidation", "nodule")), Format(syntax="explicit")),
)
"""Study i of a folder follows plan i modulo their number."""


def write_studies(
    out: Path,
    n: int = len(PLANS),
    seed: int = SAMPLE_SEED,
    *,
    ct: bool = True,
    progress: Callable[[int], None] | None = None,
) -> list[dict]:
    """Writes n studies and their truth under `out`;
    returns what `truth/truth.json` holds, one entry a study.

    `studies/NAME/` holds DICOM alone: `radiograph.dcm` (512 x 512) and, where the plan asks for it
    and `ct` is true, `ct/*.dcm`, feet to head. `truth/` holds `NAME-mask.png` (white: opacity, in
    the radiograph's frame), `NAME-ct-mask.png` (the slices' masks, first slice on top) and
    `labels.csv`, a row a study, as `medinv prepare --labels` reads it.
    Raises ConfigError if n < 1, OutputError where `out` cannot be written.
    """
    if n < 1:
        raise ConfigError(f"phantom studies: their number should be at least 1; got {n}")
    truth = []
    for i in range(n):
        plan = PLANS[i % len(PLANS)]
        truth.append(
            write_study(
                out, f"study-{i + 1:02d}", draw(seed, i, plan.recipe), plan.form, ct=ct and plan.ct
            )
        )
        if progress:
            progress(i + 1)
    _replace(
        out / "truth" / "truth.json",
        lambda path: path.write_text(json.dumps(truth, indent=1) + "\n"),
    )
    rows = "".join(f"{one['study_uid']},{one['label']}\n" for one in truth)
    _replace(
        out / "truth" / "labels.csv",
        lambda path: path.write_text(f"StudyInstanceUID,label\n{rows}"),
    )
    return truth


def write_study(
    out: Path, name: str, phantom: Phantom, form: Format = Format(), *, ct: bool = False
) -> dict:
    """Writes one study and its masks under `out`; returns its truth. Raises OutputError."""
    shot = radiograph(phantom, RADIOGRAPH_SIZE)
    _save_dicom(out / "studies" / name / "radiograph.dcm", radiograph_dataset(phantom, shot, form))
    _save_mask(out / "truth" / f"{name}-mask.png", shot.mask)
    if ct:
        scan = volume(phantom, CT_SLICES, CT_SIZE)
        for i, ds in enumerate(ct_datasets(phantom, scan)):
            _save_dicom(out / "studies" / name / "ct" / f"slice-{i + 1:02d}.dcm", ds)
        _save_mask(out / "truth" / f"{name}-ct-mask.png", np.concatenate(scan.mask))
    rise = (display(shot.stored, shot.window).astype(float) - display(shot.clear, shot.window))[
        shot.mask
    ]
    return {
        "study": name,
        "study_uid": str(uid(phantom, "study")),
        "label": ["clear", "opacity"][phantom.label],
        "kinds": sorted({o.kind for o in phantom.opacities}),
        "contrast_grey_levels": round(float(rise.mean()), 1) if rise.size else 0.0,
        "mask_pixels": int(shot.mask.sum()),
        "radiograph": asdict(form),
        "ct": ct,
        "phantom": asdict(phantom),
    }


def _save_dicom(path: Path, ds: FileDataset) -> None:
    _replace(path, lambda part: ds.save_as(part, enforce_file_format=True))


def _save_mask(path: Path, mask: np.ndarray) -> None:
    _replace(
        path,
        lambda part: (
            Image.fromarray(mask.astype(np.uint8) * 255)
            .convert("1")
            .save(part, "PNG", optimize=True)
        ),
    )


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes to a name beside the target, then renames,
    so that no half file is ever seen under the target's name.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, path)
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror}): choose a folder that you may write to",
            path=path,
        ) from error
