"""Our reading of DICOM for MONAI's `LoadImage`: one array, one proven affine, or a typed error.

    loader = LoadImage(reader=MedinvReader(), ensure_channel_first=True)
    volume = loader("studies/study-02/ct")

`PydicomReader` sorts slices by InstanceNumber, merges the series of a folder, averages missing
slices away, and leaves Modality LUTs, MONOCHROME1 and the geometry of Enhanced objects aside.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from monai.data import ImageReader, NibabelReader
from monai.data.utils import affine_to_spacing
from monai.utils import MetaKeys, SpaceKeys

from medinv.data import intake
from medinv.data.decoded import decoded_frames
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.frames import FrameHeaders
from medinv.data.dicom.geometry import affine
from medinv.data.dicom.grey import inverted, modality_values
from medinv.data.dicom.grouping import group
from medinv.data.dicom.index import index, open_dataset
from medinv.data.dicom.orientation import is_projection
from medinv.data.dicom.pixels import read_frames, read_pixels
from medinv.data.dicom.records import Instance
from medinv.data.dicom.volume import Rule, Stack, read_stack, stack
from medinv.data.frame import InputSpec
from medinv.data.intake import ReadRequest
from medinv.data.resize import resize_volume
from medinv.data.volume import volume_of
from medinv.errors import ConfigError, DataError, MissingDataError

Values = Literal["modality", "display"]
_SUFFIXES = frozenset({"", ".dcm", ".dicom", ".ima", ".zip", ".nii"})
_SWAP = np.eye(4)[[1, 0, 2, 3]]


class MedinvReader(ImageReader):
    """An `ImageReader` for DICOM files, folders and zips of one series, and for NIfTI.

    Arguments:
        values: "modality", in the modality's units (Hounsfield units for CT) after Modality LUT or
            rescale, float32; or "display", grey levels 0 to 255 after window or VOI LUT, or red,
            green and blue in a last axis, uint8, which are what medinv's models are shown. Bright
            is attenuating in both: modality values of projections in MONOCHROME1 are counted down
            from the range of the stored bits. Values of slices and of emission images keep their
            units.
        rule: what to do with slices that are missing, unevenly spaced or given twice: "refuse", or
            "longest-run" (see `medinv.data.dicom.volume.stack`).
        swap_ij: first array axis along the rows, as MONAI's readers have it; False: (row, column).
        input_shape: (C, H, W) or (1, D, H, W) of a model: give what it is shown, uint8, instead. A
            list of paths is then the slices of one volume; a volume's axes are the body's, and its
            affine is not known.

    The array is (I, J) for one image and (I, J, K) for a volume, slices ordered along their normal;
    several paths become channels, and must agree in shape and affine. `meta` holds the affine (4,
    4) to millimetres in R A S axes, and in `policy` and `warnings` how the values came about; it
    names no patient. NIfTI is read by MONAI's `NibabelReader`, once it is proven that the file
    states where it lies.

    `LoadImage` tries its other readers where `read` raises: so `read` only notes the paths, and
    `get_data` raises: MissingDataError, DataError where images make no single image or volume
    (several series, missing slices, two patients), and what `read_pixels` raises.
    """

    def __init__(
        self,
        values: Values = "modality",
        rule: Rule = "refuse",
        swap_ij: bool = True,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if values not in ("modality", "display") or rule not in ("refuse", "longest-run"):
            raise ConfigError(
                "MedinvReader expects values modality or display and rule refuse or longest-run; "
                f"got {values!r} and {rule!r}"
            )
        self.values, self.rule, self.swap_ij = values, rule, swap_ij
        self.spec = None if input_shape is None else InputSpec.of(tuple(input_shape))

    def verify_suffix(self, filename: Sequence[PathLike | str] | PathLike | str) -> bool:
        """Whether the names are such as DICOM, zip and NIfTI files or folders have."""
        return all(
            path.is_dir()
            or path.suffix.lower() in _SUFFIXES
            or path.suffix[1:].isdigit()  # named by a UID
            or path.name.lower().endswith(".nii.gz")
            for path in _paths(filename)
        )

    def read(self, data: Sequence[PathLike | str] | PathLike | str, **kwargs: Any) -> list[Path]:
        """The paths; nothing is read yet."""
        return _paths(data)

    def get_data(self, img: list[Path]) -> tuple[np.ndarray, dict[str, Any]]:
        """The array and its metadata. Raises as the class says."""
        if self.spec is not None and len(self.spec.size) == 3:
            return _volume_input(_alike(img), self.spec)
        read = [self._one(path) for path in img]
        arrays, metas = [array for array, _ in read], [meta for _, meta in read]
        if len(read) == 1:
            return read[0]
        first = metas[0]
        for array, meta in read[1:]:
            same = np.allclose(meta[MetaKeys.AFFINE], first[MetaKeys.AFFINE], atol=1e-3)
            if array.shape != arrays[0].shape or not same:
                raise DataError(
                    "several paths become the channels of one image and must agree in shape and "
                    "affine; these do not: hand in the folder of a series to get its volume",
                    stage="volume",
                )
        return np.stack(arrays), {**first, MetaKeys.ORIGINAL_CHANNEL_DIM: 0}

    def _one(self, path: Path) -> tuple[np.ndarray, dict[str, Any]]:
        instances = _alike([path])
        if self.spec is not None:
            return _network_input(instances, self.spec, path)
        if instances[0].format == "nifti":
            return _nifti(instances[0], path)
        if len(instances) == 1 and instances[0].frames == 1:
            array, meta = self._image(instances[0])
        else:
            array, meta = self._volume(stack(instances, self.rule))
        if self.swap_ij:
            array = np.ascontiguousarray(array.swapaxes(0, 1))
            meta[MetaKeys.AFFINE] = meta[MetaKeys.AFFINE] @ _SWAP
        meta[MetaKeys.ORIGINAL_AFFINE] = meta[MetaKeys.AFFINE].copy()
        coloured = array.ndim == 3 and len(instances) == 1 and instances[0].frames == 1
        meta[MetaKeys.SPATIAL_SHAPE] = array.shape[:2] if coloured else array.shape
        meta[MetaKeys.SPACE] = SpaceKeys.RAS
        meta[MetaKeys.ORIGINAL_CHANNEL_DIM] = -1 if coloured else float("nan")
        meta["spacing"] = affine_to_spacing(
            meta[MetaKeys.AFFINE], r=len(meta[MetaKeys.SPATIAL_SHAPE])
        )
        return array, meta

    def _image(self, instance: Instance) -> tuple[np.ndarray, dict[str, Any]]:
        (pixels,) = decoded_frames(instance)
        said = [pixels.policy]
        if self.values == "display":
            array = pixels.display if pixels.colours is None else pixels.colours
        else:
            array = pixels.modality
            turned = _counted_down(instance)
            if turned is not None:
                array, said = turned - array, [*said, "modality values counted down"]
            array = array.astype(np.float32)
        return array, _meta(instance, affine(pixels.geometry), "; ".join(said), pixels.warnings)

    def _volume(self, found: Stack) -> tuple[np.ndarray, dict[str, Any]]:
        array = read_stack(found)  # refuses what has no affine
        instance, frame = found.slices[0].instance, found.slices[0].frame
        first = read_pixels(instance, frame)
        if self.values == "display":
            array = _display(found, array.shape)
        notes = [f"{one.message}: {one.handled}" for one in found.findings]
        warnings = (*first.warnings, *notes)
        return array, _meta(instance, np.asarray(found.affine), first.policy, warnings)


def _paths(names: Sequence[PathLike | str] | PathLike | str) -> list[Path]:
    return [Path(name) for name in ([names] if isinstance(names, str | PathLike) else names)]


def _alike(paths: Sequence[Path]) -> tuple[Instance, ...]:
    """The images under paths, which must be of one group."""
    path = paths[0]
    for each in paths:
        if not each.exists():
            raise MissingDataError("no such file or folder", path=each)
    found = index(paths)
    for broken in found.broken:
        raise broken.error
    groups = [each for study in found.studies for each in group(study.instances)]
    if not groups:
        why = sorted({f"{one.code}: {one.message}" for one in found.skipped})
        raise DataError(
            f"no image here; {'; '.join(why) or 'the folder is empty'}", path=path, stage="volume"
        )
    if len(groups) > 1:
        listed = "; ".join(f"{each.label}: {each}" for each in groups)
        raise DataError(
            f"expected images of one kind of one series, got {len(groups)}: {listed}; hand in one "
            "of them by its files' folder",
            path=path,
            stage="volume",
        )
    return groups[0].instances


def _network_input(
    instances: tuple[Instance, ...], spec: InputSpec, path: Path
) -> tuple[np.ndarray, dict[str, Any]]:
    """What a model is shown of one image, (C, H, W), with the affine of the resized pixels."""
    frames = [
        frame
        for instance in instances
        for frame in intake.read_frames(instance, ReadRequest((instance,), (spec,), display=True))
    ]
    if len(frames) != 1:
        raise DataError(
            f"a model is shown one image, got {len(frames)}: name a file", path=path, stage="volume"
        )
    (frame,) = frames
    geometry = frame.turn.geometry(instances[0].geometry, instances[0].rows, instances[0].columns)
    matrix, sides = affine(geometry), np.asarray(frame.display).shape
    for axis, (have, side) in enumerate(zip(sides[:2], spec.size, strict=True)):
        matrix[:3, 3] += matrix[:3, axis] * (have / side - 1) / 2  # centres of the first pixels
        matrix[:3, axis] *= have / side
    meta = _meta(instances[0], matrix, frame.policy, frame.warnings)
    meta |= {
        MetaKeys.ORIGINAL_AFFINE: matrix.copy(),
        MetaKeys.SPATIAL_SHAPE: spec.size,
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.ORIGINAL_CHANNEL_DIM: 0,
    }
    return frame.inputs[spec], meta


def _volume_input(
    instances: tuple[Instance, ...], spec: InputSpec
) -> tuple[np.ndarray, dict[str, Any]]:
    """What a model is shown of one volume, (1, D, H, W)."""
    found = volume_of(instances)
    meta = {
        "modality": instances[0].modality or "",
        "policy": found.policy,
        "warnings": "; ".join(found.warnings),
        MetaKeys.SPATIAL_SHAPE: spec.size,
        MetaKeys.ORIGINAL_CHANNEL_DIM: 0,
    }
    return resize_volume(found.levels, spec.size), meta


def _nifti(instance: Instance, path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    if instance.location.member:
        raise DataError("NIfTI within a zip: unpack it first", path=path, stage="volume")
    reader = NibabelReader()
    array, meta = reader.get_data(reader.read(instance.location.path))
    return array, {**meta, "warnings": "; ".join(instance.warnings)}


def _counted_down(instance: Instance) -> float | None:
    """What modality values of an inverted projection are subtracted from; None of others."""
    if not is_projection(instance):
        return None
    fields = FrameHeaders(Fields(open_dataset(instance)))[0]
    if not inverted(fields, instance):
        return None
    lowest = -(1 << instance.bits_stored - 1) if instance.signed else 0
    ends = np.array([lowest, lowest + (1 << instance.bits_stored) - 1])
    kind = np.int32 if instance.signed else np.uint32
    return float(modality_values(ends.astype(kind)[None], fields)[0].sum())


def _display(found: Stack, shape: tuple[int, ...]) -> np.ndarray:
    """Grey levels (rows, columns, slices) uint8."""
    levels = np.empty(shape, np.uint8)
    places = {(one.instance.source, one.frame): k for k, one in enumerate(found.slices)}
    for instance in {one.instance.source: one.instance for one in found.slices}.values():
        for pixels in read_frames(instance):
            place = places.get((instance.source, pixels.frame))
            if place is not None:
                levels[..., place] = pixels.display
    return levels


def _meta(
    instance: Instance, matrix: np.ndarray, policy: str, warnings: Sequence[str]
) -> dict[str, Any]:
    """Texts and numbers alone, which MONAI's loaders can join into batches."""
    return {
        MetaKeys.AFFINE: matrix,
        "modality": instance.modality or "",
        "photometric": instance.photometric,
        "policy": policy,
        "warnings": "; ".join(dict.fromkeys(warnings)),
        "lossy": instance.lossy,
    }
