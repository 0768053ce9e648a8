"""The sets, and what is typed for each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.sets import inputs


@dataclass(frozen=True)
class Own:
    """One set: what lies on the disk, and the words behind `medinv prepare`.

    In `prepare` DATA/ stands for the folder of MEDINV_DATA; other names are in the set's own
    folder. `epochs` None are those that `medinv init` recommends. `by` are columns of subgroups.
    `then` are commands beside the five, the model being there.
    """

    name: str
    says: str  # what it is, in a few words
    prepare: str
    lay_out: Callable[[Path, bool], None] = inputs.nothing
    epochs: int | None = None
    by: str = ""
    then: tuple[str, ...] = ()


OWN = (
    Own(
        "ct",
        "CT slices of 54 patients, a zip and its list",
        "DATA/dicom/ct_contrast100.zip --labels overview.csv --label-column Contrast --size 64 "
        "--split 0.5,0.2,0.3",
        inputs.contrast_list,
        epochs=20,
        by="manufacturer",
        then=("classify DATA/dicom/ct_contrast100.zip --model model --out results",),
    ),
    Own(
        "ct-16-bits",
        "the same slices, an npz of 16 bits",
        "slices.npz --bits 16 --size 64 --split 0.5,0.2,0.3 --classes plain,contrast",
        inputs.contrast_arrays,
        epochs=20,
        by="-",
        then=("verify --model model",),
    ),
    Own(
        "photographs",
        "colour PNGs, one folder a class",
        "pictures --labels folders --colour --size 32",
        inputs.photographs,
        epochs=6,
        then=("classify pictures/ship --model model --out results",),
    ),
    Own(
        "volumes",
        "generated CT series as volumes",
        "series --labels labels.csv --size 16x32x32 --split 0.5,0.2,0.3",
        inputs.volumes,
        then=(
            "classify series/000 series/001 --model model --out results",
            "verify series/000 --model model",
        ),
    ),
    Own(
        "films-datalist",
        "films of children, a MONAI datalist in three classes",
        "datalist.json --size 64",
        inputs.datalist,
        epochs=5,
    ),
    Own(
        "breast",
        "BreastMNIST, its npz",
        "DATA/medmnist/breastmnist.npz --classes malignant,benign",
        epochs=15,
    ),
    Own(
        "adults",
        "films of adults, a CSV with age, sex and view",
        "DATA/nih_cxr_256 --labels DATA/nih_cxr_256/labels.csv --size 64",
        epochs=4,
        by="age,sex,view",
    ),
    Own(
        "films-224",
        "films of children at 224 x 224, a CSV",
        "DATA/kermany_cxr_224 --labels labels.csv --size 224",
        inputs.large_films,
        epochs=6,
    ),
    Own(
        "mednist",
        "MedNIST, 150 images of each class, an npz",
        "mednist.npz",
        inputs.mednist,
        epochs=3,
    ),
)
