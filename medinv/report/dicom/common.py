"""What all DICOM results share: whose study they join, which model made them, and identifiers.

Identifiers are UUIDs of the facts (RFC 9562 version 5, written as 2.25.N): the same result has the
same SOP Instance UID wherever and however often it is made, so that storing it again adds nothing;
another result has another UID in the same series. Two makings of one result differ in their time
stamps alone. The facts are the images, the model, the answers and the evidence by region, to a few
decimals: what follows from them (a decoded counterfactual may amplify the rounding of the last
bit), how long it took and what else lay in the study (earlier results, say) do not count.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from highdicom import AlgorithmIdentificationSequence, ContributingEquipment
from highdicom.base import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes

from medinv.analysis.result import Answer, ImageResult, StudyResult
from medinv.explanation.evidence import regional
from medinv.models.card import Card
from medinv.report import derived
from medinv.report.derived import explained
from medinv.report.dicom.header import is_slice
from medinv.report.figures import REGION, Panel, Pictures, network_input
from medinv.report.strings import RESEARCH_USE

Kind = Literal["sr", "seg", "map", "picture", "pdf", "state"]
# By kind: number (high, so that results stand below the images) and description of its series.
SERIES: dict[Kind, tuple[int, str]] = {
    "sr": (9901, "findings"),
    "picture": (9902, "summary"),
    "pdf": (9903, "report"),
    "seg": (9904, "evidence regions"),
    "state": (9905, "evidence annotation"),
    "map": (9906, "evidence map"),
}
LAYOUT = "2"  # to be raised when an object of the same facts changes its looks
MAKER = "medinv"
SCHEME = "99MEDINV"
CODING_SCHEME = CodingSchemeIdentificationItem(
    SCHEME, name="medinv private codes", responsible_organization=MAKER
)
FINDINGS = {"pneumonia": CodedConcept("233604007", "SCT", "Pneumonia")}
_NAMESPACE = uuid.UUID("a4c1f2f0-6f0b-5d0e-9d5e-0c8c1f5b7e21")


def uid(*parts: str) -> str:
    """A UID that follows from the parts: 2.25. and the decimal UUID."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, json.dumps(parts)).int}"


def device_uid(sha256: str) -> str:
    """The Device UID of a model: another one as soon as its weights are."""
    return uid("device", sha256)


def private(value: str, meaning: str) -> CodedConcept:
    """A code of this project's own scheme; value at most 16 characters."""
    return CodedConcept(value, SCHEME, meaning)


def finding(name: str) -> CodedConcept:
    """The class of a model as a code: a public one where it is known."""
    short = name if len(name) <= 16 else hashlib.sha256(name.encode()).hexdigest()[:16]
    return FINDINGS.get(name) or private(short, name[:64])


def reference(header: Dataset) -> Dataset:
    """An item that names an image."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        header.SOPClassUID,
        header.SOPInstanceUID,
    )
    return item


@dataclass(frozen=True)
class Analysis:
    """A presented result with the headers of its images by their `sop_uid`, as `quoted` gives them.

    `pictures` are the report's. `slices`: of images that are volumes the headers of all slices, by
    the same `sop_uid`.
    """

    result: StudyResult
    card: Card
    headers: Mapping[str, Dataset]
    pictures: Pictures
    slices: Mapping[str, tuple[Dataset, ...]] = field(default_factory=dict)

    def sources(self, images: Sequence[ImageResult]) -> list[Dataset]:
        """The headers of the files that images rest on; of a volume those of all slices."""
        return [
            header
            for image in images
            for header in self.slices.get(image.sop_uid, (self.headers[image.sop_uid],))
        ]

    @property
    def volumes(self) -> tuple[ImageResult, ...]:
        """The explained images that are volumes, of slices that one object may refer to."""
        return tuple(image for image in self.explained if image.sop_uid in self.slices)

    @property
    def inside(self) -> tuple[ImageResult, ...]:
        """The images that the result rests on: those in scope, the deciding one first."""
        images = (image for _, image in derived.ranked(self.result))
        return tuple(image for image in images if image.answer and image.sop_uid in self.headers)

    @property
    def explained(self) -> tuple[ImageResult, ...]:
        """Those of them that come with evidence."""
        return tuple(image for image in self.inside if image.explanation is not None)

    @property
    def stacks(self) -> tuple[tuple[ImageResult, ...], ...]:
        """The explained images that one object may hold.

        Slices of a series that face one way go together, along their normal; a projection is alone.
        Frames of a multi-frame image are not among them: they are reported, not drawn. Volumes have
        objects of their own.
        """
        groups: dict[tuple, list[ImageResult]] = {}
        for image in self.explained:
            if image.frame is not None or is_volume(image):
                continue
            groups.setdefault(self._stack(image), []).append(image)
        return tuple(tuple(sorted(group, key=self._depth)) for group in groups.values())

    def _stack(self, image: ImageResult) -> tuple:
        head = self.headers[image.sop_uid]
        here = (head.SeriesInstanceUID, head.Rows, head.Columns)
        if not is_slice(head):
            return (*here, image.sop_uid)
        cosines = np.round(np.array(head.ImageOrientationPatient, float), 3)
        return (*here, head.FrameOfReferenceUID, *cosines.tolist())

    def _depth(self, image: ImageResult) -> float:
        head = self.headers[image.sop_uid]
        if not is_slice(head):
            return 0.0
        cosines = np.array(head.ImageOrientationPatient, float)
        normal = np.cross(cosines[:3], cosines[3:])
        return float(normal @ np.array(head.ImagePositionPatient, float))

    @property
    def first(self) -> Dataset:
        """The header whose patient and study all results carry."""
        return self.headers[self.inside[0].sop_uid]

    @property
    def names_study(self) -> bool:
        """The result keeps the study's UID, so that what is drawn of it points to the patient."""
        return self.result.study_uid == self.first.StudyInstanceUID

    @property
    def deciding(self) -> Panel:
        """The pictures of the explained image that decides."""
        name = self.explained[0].name
        return next(panel for panel in self.pictures.panels if panel.image.name == name)

    @property
    def burned_in(self) -> bool:
        """What is drawn points to the patient."""
        named = (panel.burned_in and not panel.withheld for panel in self.pictures.panels)
        return self.names_study or any(named)

    @property
    def sha256(self) -> str:
        """Of the weights that gave the result."""
        return self.result.model.sha256

    @property
    def answer(self) -> Answer:
        """The study's."""
        told = self.result.answer
        if told is None:
            raise ValueError(f"expected a study with a label, got {self.result.label}")
        return told

    @property
    def finding(self) -> str:
        """The class that the evidence speaks for or against."""
        return self.answer.name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the facts, by which two results are one."""
        result, trip = self.result, self.result.reconstruction
        identity = {
            "makers": [LAYOUT, derived.MEDINV, self.sha256, self.card.version],
            "study": [
                self.first.StudyInstanceUID,
                result.study_uid,
                result.label,
                _rounded(result),
                result.aggregation,
            ],
            "broken": [[problem.code, problem.sop_uid] for problem in result.broken],
            "exact": trip and [trip.exact, trip.bits],
            "images": [self._identity(image) for image in self.inside],
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def _identity(self, image: ImageResult) -> list[Any]:
        return [
            self.headers[image.sop_uid].SOPInstanceUID,
            image.sop_uid,
            image.frame,
            image.stored_sha256,
            image.label,
            _rounded(image),
            _drawn(image),
            (regional_sums(image).round(3) + 0.0).tolist() if image.explanation else None,
        ]

    def instance_uid(self, kind: Kind, number: int = 1) -> str:
        """SOP Instance UID of the number-th object of a kind."""
        return uid(kind, self.digest, str(number))

    def tracking(self, *what: str) -> tuple[str, str]:
        """Identifier and UID by which later results of the same model's name are found again."""
        model = self.card.name
        tracking_uid = uid("tracking", self.first.StudyInstanceUID, model, *what)
        return " ".join((MAKER, model, *what[:1])), tracking_uid

    def making(self, kind: Kind, number: int = 1) -> dict[str, Any]:
        """Series, instance and equipment in highdicom's keywords."""
        series, description = SERIES[kind]
        study = self.first.StudyInstanceUID
        return {
            "series_instance_uid": uid("series", study, self.sha256, derived.MEDINV, kind),
            "series_number": series,
            "series_description": f"{self.card.name[:30]} {description}, research use",
            "sop_instance_uid": self.instance_uid(kind, number),
            "instance_number": number,
            "manufacturer": MAKER,
            "manufacturer_model_name": f"{MAKER} {self.card.name}"[:64],
            "software_versions": self._versions(),
            "device_serial_number": self.sha256[:16],
            "contributing_equipment": [self.equipment()],
            "specific_character_set": "ISO_IR 192",
        }

    def _versions(self) -> list[str]:
        return [f"{MAKER} {derived.MEDINV}", f"{self.card.name[:50]} {self.card.version}"]

    def equipment(self) -> ContributingEquipment:
        """The model as contributing equipment."""
        item = ContributingEquipment(
            MAKER,
            codes.DCM.ProcessingEquipment,
            manufacturer_model_name=f"{MAKER} {self.card.name}"[:64],
            software_versions=self._versions(),
            device_serial_number=self.sha256[:16],
            contribution_description=(
                f"{self.card.title[:200]}. Weights SHA-256 {self.sha256}. {RESEARCH_USE}"
            ),
        )
        item.DeviceUID = device_uid(self.sha256)
        return item

    def algorithm(self) -> AlgorithmIdentificationSequence:
        """The model as the algorithm behind a segment."""
        return AlgorithmIdentificationSequence(
            f"{MAKER} {self.card.name}",
            codes.DCM.ArtificialIntelligence,
            self.card.version,
            source=MAKER,
            parameters={"weights_sha256": self.sha256},
        )


def is_volume(image: ImageResult) -> bool:
    """The image is made of slices, or of frames, as one."""
    return image.pixels is not None and image.pixels.grid is not None


def pixel_map(image: ImageResult) -> np.ndarray:
    """(*size) log-odds a pixel: local evidence, or that at the pixels where there is none."""
    explanation = explained(image)
    return (
        explanation.local_evidence.locations
        if explanation.local_evidence
        else explanation.evidence.contributions
    )


def drawn_map(image: ImageResult) -> np.ndarray:
    """The evidence that is segmented: local evidence pixel by pixel, else by region."""
    return pixel_map(image) if explained(image).local_evidence else regional_sums(image)


def regional_sums(image: ImageResult) -> np.ndarray:
    """`pixel_map` by region; by pixel of volumes and of inputs that do not divide into regions."""
    pixels = pixel_map(image)
    if pixels.ndim > 2:
        return pixels
    return regional(pixels, 1 if any(side % REGION for side in pixels.shape) else REGION)


def _drawn(image: ImageResult) -> str | None:
    """SHA-256 of what a report draws of an image."""
    if image.pixels is None or image.pixels.display is None:
        return None
    display = np.ascontiguousarray(image.pixels.display).tobytes()
    return hashlib.sha256(network_input(image).tobytes() + display).hexdigest()


def _rounded(given: StudyResult | ImageResult) -> float | None:
    told = given.answer
    return None if told is None else round(told.probability, 6)
