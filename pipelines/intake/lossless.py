"""The lossless intake against the lossy one: do labels change, does every byte come back,
and why it is made as it is.

    python -m pipelines.intake.lossless [FILES...]

Writes a page of two tables. The first, for each shipped model on the radiographs of
sample_data/studies, and for chest-xray on 100 validation images of its data set
(112 x 112, where MEDINV_DATA is set): how far the log-odds move when the lossless intake replaces
the resize, as it is and with each of its parts replaced. The second: frames of FILES
(default: what pydicom ships) and of synthetic images whose features decode to every byte.
"""

import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pydicom
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import medinv
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels, read_frames
from medinv.data.lossless import LosslessIntake, certify_lossless
from medinv.data.transforms import network_intake
from medinv.errors import MedinvError
from medinv.layers import IntegerHaar, LeGall53
from pipelines.record import Table, record

SIZE = 64
MOVES = (
    "model, images, lossless intake",
    "labels changed",
    "median, largest change of log-odds",
    "RMS of input, grey levels",
    "in scope (lossy)",
)
BACK = (
    "frames",
    "every byte back",
    "largest distance of an average from its integer",
    "seconds a frame",
)


def pixels_of(paths: list[Path]) -> list[Pixels]:
    found = []
    for instance in index(paths).instances:
        try:
            found += read_frames(instance)
        except MedinvError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def saved(
    folder: Path, name: str, stored: np.ndarray, bits: int, window: tuple[float, float]
) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.1.1",
        generate_uid(),
        "1.2.3",
    )
    dataset.Modality, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = (
        "DX",
        1,
        "MONOCHROME2",
    )
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * stored.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.WindowCenter, dataset.WindowWidth = window
    dataset.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    dataset["PixelData"].VR = "OW"
    dataset.save_as(folder / name, enforce_file_format=True)
    return folder / name


def averages(
    pixels: Pixels,
    wavelet: torch.nn.Module,
    padded: bool = False,
    split: bool = True,
    finest: int = 8,
) -> torch.Tensor:
    """The network's input if the intake were made otherwise: LeGall 5/3,
    the image in a corner of the square, the window left open, the square as small as can be.
    """
    stored, side = pixels.stored.astype(np.int64), SIZE if padded else SIZE * finest
    while side < max(stored.shape):
        side *= 2
    if padded:
        square = np.pad(stored, [(0, side - n) for n in stored.shape], mode="edge")
    else:
        square = stored[np.ix_(*(np.arange(side) * n // side for n in stored.shape))]
    band = torch.from_numpy(square)[None, None]
    while band.shape[-1] > SIZE:
        band = wavelet(band)[:, :1]
    image = band.double() * pixels.scale.factor + pixels.scale.offset
    return image.clamp(0, 255) if split else image


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    intake, lossy = LosslessIntake(SIZE), network_intake(SIZE)
    variants = {
        "as it is": lambda p: intake.forward(p).image[None],
        "padded, not repeated": lambda p: averages(p, IntegerHaar(), padded=True),
        "smallest square": lambda p: averages(p, IntegerHaar(), finest=1),
        "LeGall 5/3, not Haar": lambda p: averages(p, LeGall53()),
        "window left open": lambda p: averages(p, IntegerHaar(), split=False),
        "LeGall 5/3, window left open": lambda p: averages(p, LeGall53(), split=False),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        radiographs = pixels_of(
            sorted(Path(__file__).parents[2].glob("sample_data/studies/*/radiograph*.dcm"))
        )
        sets = {
            ("chest-xray", "sample studies"): radiographs,
            ("phantom-opacity", "sample studies"): radiographs,
        }
        archive = Path(os.environ.get("MEDINV_DATA", "")) / "kermany_cxr_112.npz"
        if os.environ.get("MEDINV_DATA") and archive.is_file():
            with np.load(archive) as data:
                images = data["x"][data["split"] == 1]
            chosen = images[np.linspace(0, len(images) - 1, 100).astype(int)]
            sets["chest-xray", "validation images"] = pixels_of(
                [saved(folder, f"{k}.dcm", x, 8, (128, 256)) for k, x in enumerate(chosen)]
            )
        moves: list[tuple[str, ...]] = []
        for (model_name, set_name), frames in sets.items():
            model = medinv.load(model_name).double()
            inputs = {
                "lossy": torch.stack(
                    [torch.as_tensor(lossy(p.display[None])) for p in frames]
                ).double()
            }
            inputs |= {
                variant: torch.cat([make(p) for p in frames]) for variant, make in variants.items()
            }
            with torch.no_grad():
                readings = {variant: model.read(x) for variant, x in inputs.items()}
            odds = {
                variant: model.log_odds(reading.logits) for variant, reading in readings.items()
            }
            inside = {
                variant: int((reading.scope <= model.scope_threshold).sum())
                for variant, reading in readings.items()
            }
            for variant in variants:
                moved = (odds[variant] - odds["lossy"]).abs()
                changed = int(
                    (
                        (odds[variant] >= model.decision_logit)
                        != (odds["lossy"] >= model.decision_logit)
                    ).sum()
                )
                rms = (
                    (inputs[variant] - inputs["lossy"]).square().flatten(1).mean(1).sqrt().median()
                )
                what = f"{model_name}, {len(frames)} {set_name}, {variant}"
                sizes = f"{moved.median():.2f}, {moved.max():.2f}"
                moves.append(
                    (
                        what,
                        str(changed),
                        sizes,
                        f"{rms:.2f}",
                        f"{inside[variant]} ({inside['lossy']})",
                    )
                )
                print(" | ".join(moves[-1]), flush=True)

        model, rng = medinv.load("chest-xray").double(), np.random.default_rng(0)
        kinds = [
            ((2048, 2048), "u2", 16),
            ((2048, 2048), "u2", 12),
            ((2048, 2048), "i2", 16),
            ((1025, 771), "u2", 14),
            ((4096, 3328), "u2", 14),
        ]
        made = {}
        for shape, kind, bits in kinds:
            low = -(1 << bits - 1) if kind == "i2" else 0
            noise = rng.integers(low, low + (1 << bits), shape).astype(kind)
            sign = "signed" if kind == "i2" else "unsigned"
            made[f"noise {shape[0]} x {shape[1]}, {bits} bits {sign}"] = [
                saved(folder, f"{kind}{bits}{shape}", noise, bits, (1000, 4000))
            ]
        given = [Path(argument) for argument in sys.argv[1:]] or [
            Path(pydicom.__file__).parent / "data" / "test_files"
        ]
        back: list[tuple[str, ...]] = []
        for what, paths in {"of the given files": given, **made}.items():
            frames = [pixels for pixels in pixels_of(paths) if pixels.scale is not None]
            start = time.process_time()
            found = [certify_lossless(model, pixels) for pixels in frames]
            seconds = (time.process_time() - start) / len(found)
            exact, worst = sum(f.exact for f in found), max(f.error for f in found)
            back.append((f"{len(found)} {what}", str(exact), f"{worst:.1e}", f"{seconds:.2f}"))
            print(" | ".join(back[-1]), flush=True)
    page = record(
        "intake-lossless",
        title="The lossless intake beside the lossy one",
        claim="Whether labels change, whether every byte comes back, and why it is made as it is.",
        tables=[Table("What moves", MOVES, moves), Table("What comes back", BACK, back)],
        made={"command": "python -m pipelines.intake.lossless " + " ".join(sys.argv[1:])},
    )
    print(page.read_text())


if __name__ == "__main__":
    main()
