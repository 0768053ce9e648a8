"""What all DICOM results share: whose study they join, which model made them, and identifiers that follow from both.

Identifiers are UUIDs of the facts (RFC 9562 version 5, written as 2.25.N): the same result has the same SOP Instance UID wherever and however often
it is made, so that storing it again adds nothing; another result has another UID in the same series. Two makings of one result differ in their time
stamps alone. The facts are the images, the model, the answers and the evidence by region, to a few decimals: what follows from them (a decoded
counterfactual may amplify the rounding of the last bit), how long it took and what else lay in the study (earlier results, say) do not count.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from highdicom import AlgorithmIdentificationSequence, ContributingEquipment
from highdicom.base import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes

from medinv.explanation.evidence import regional
from medinv.report.content import ImageArrays, ImageContent, StudyContent
from medinv.report.dicom.header import is_slice
from medinv.report.figures import REGION
from medinv.report.strings import RESEARCH_USE

Kind = Literal["sr", "seg", "map", "picture", "pdf", "state"]
SERIES: dict[Kind, tuple[int, str]] = {  # number (high, so that results stand below the images), description
    "sr": (9901, "findings"), "picture": (9902, "summary"), "pdf": (9903, "report"), "seg": (9904, "evidence regions"),
    "state": (9905, "evidence annotation"), "map": (9906, "evidence map"),
}  # fmt: skip
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
    """A study's content with the headers of its images by the content's `sop_uid`, as `dicom_header.quoted` gives them."""

    content: StudyContent
    headers: Mapping[str, Dataset]

    @property
    def inside(self) -> tuple[ImageContent, ...]:
        """The images that the result rests on: those in scope, the deciding one first."""
        mine = [
            image
            for image in self.content.images
            if image.scope.in_scope and image.probabilities and image.sop_uid in self.headers
        ]
        return tuple(sorted(mine, key=lambda image: -(image.positive or 0.0)))

    @property
    def explained(self) -> tuple[ImageContent, ...]:
        """Those of them that come with evidence."""
        return tuple(
            image
            for image in self.inside
            if image.arrays is not None and image.arrays.explanation is not None
        )

    @property
    def stacks(self) -> tuple[tuple[ImageContent, ...], ...]:
        """The explained images that one object may hold: slices of a series facing one way, along their normal; a projection is alone.

        Frames of a multi-frame image are not among them: they are reported, not drawn.
        """
        groups: dict[tuple, list[ImageContent]] = {}
        for image in (image for image in self.explained if image.frame is None):
            head = self.headers[image.sop_uid]
            place = (
                (head.FrameOfReferenceUID, *np.round(head.ImageOrientationPatient, 3))
                if is_slice(head)
                else (image.sop_uid,)
            )
            groups.setdefault((head.SeriesInstanceUID, head.Rows, head.Columns, *place), []).append(
                image
            )
        return tuple(tuple(sorted(group, key=self._depth)) for group in groups.values())

    def _depth(self, image: ImageContent) -> float:
        head = self.headers[image.sop_uid]
        if not is_slice(head):
            return 0.0
        cosines = np.array(head.ImageOrientationPatient, float)
        return float(
            np.cross(cosines[:3], cosines[3:]) @ np.array(head.ImagePositionPatient, float)
        )

    @property
    def first(self) -> Dataset:
        """The header whose patient and study all results carry."""
        return self.headers[self.inside[0].sop_uid]

    @property
    def names_study(self) -> bool:
        """The content keeps the study's UID, so that what is drawn of it points to the patient."""
        return self.content.study_uid == self.first.StudyInstanceUID

    @property
    def sha256(self) -> str:
        return dict(self.content.model.hashes)["weights_sha256"]

    @property
    def positive(self) -> str:
        """The class that the evidence speaks for or against."""
        return self.content.model.classes[1]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the facts, by which two results are one."""
        content = self.content
        facts = {
            "makers": [LAYOUT, content.medinv_version, self.sha256, content.model.version],
            "study": [
                self.first.StudyInstanceUID,
                content.study_uid,
                content.label,
                _rounded(content.positive),
                content.aggregation,
            ],
            "broken": [[problem.code, problem.uid] for problem in content.broken],
            "exact": content.reconstruction
            and [content.reconstruction.exact, content.reconstruction.bits],
            "images": [self._facts(image) for image in self.inside],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _facts(self, image: ImageContent) -> list[Any]:
        head, arrays = self.headers[image.sop_uid], image.arrays
        drawn = (
            arrays
            and hashlib.sha256(
                arrays.network_input.tobytes() + np.ascontiguousarray(arrays.display).tobytes()
            ).hexdigest()
        )
        evidence = arrays and arrays.explanation and (regional_sums(arrays).round(3) + 0.0).tolist()
        return [
            head.SOPInstanceUID,
            image.sop_uid,
            image.frame,
            image.stored_sha256,
            image.label,
            _rounded(image.positive),
            drawn,
            evidence,
        ]

    def instance_uid(self, kind: Kind, number: int = 1) -> str:
        """SOP Instance UID of the number-th object of a kind."""
        return uid(kind, self.digest, str(number))

    def tracking(self, *what: str) -> tuple[str, str]:
        """Identifier and UID by which later results of the same model's name on the same images are found again."""
        model = self.content.model.name
        return " ".join((MAKER, model, *what[:1])), uid(
            "tracking", self.first.StudyInstanceUID, model, *what
        )

    def making(self, kind: Kind, number: int = 1) -> dict[str, Any]:
        """Series, instance and equipment in highdicom's keywords."""
        model, version = self.content.model, self.content.medinv_version
        series, description = SERIES[kind]
        return {
            "series_instance_uid": uid(
                "series", self.first.StudyInstanceUID, self.sha256, version, kind
            ),
            "series_number": series,
            "series_description": f"{model.name[:30]} {description}, research use",
            "sop_instance_uid": self.instance_uid(kind, number),
            "instance_number": number,
            "manufacturer": MAKER,
            "manufacturer_model_name": f"{MAKER} {model.name}"[:64],
            "software_versions": [f"{MAKER} {version}", f"{model.name[:50]} {model.version}"],
            "device_serial_number": self.sha256[:16],
            "contributing_equipment": [self.equipment()],
            "specific_character_set": "ISO_IR 192",
        }

    def equipment(self) -> ContributingEquipment:
        """The model as contributing equipment."""
        model = self.content.model
        item = ContributingEquipment(
            MAKER,
            codes.DCM.ProcessingEquipment,
            manufacturer_model_name=f"{MAKER} {model.name}"[:64],
            software_versions=[
                f"{MAKER} {self.content.medinv_version}",
                f"{model.name[:50]} {model.version}",
            ],
            device_serial_number=self.sha256[:16],
            contribution_description=f"{model.title[:200]}. Weights SHA-256 {self.sha256}. {RESEARCH_USE}",
        )
        item.DeviceUID = device_uid(self.sha256)
        return item

    def algorithm(self) -> AlgorithmIdentificationSequence:
        """The model as the algorithm behind a segment."""
        model = self.content.model
        return AlgorithmIdentificationSequence(
            f"{MAKER} {model.name}",
            codes.DCM.ArtificialIntelligence,
            model.version,
            source=MAKER,
            parameters={"weights_sha256": self.sha256},
        )


def pixel_map(arrays: ImageArrays) -> np.ndarray:
    """(H, W) log-odds a pixel: local evidence, or that at the pixels where there is none."""
    explanation = arrays.explanation
    local = explanation.local_evidence
    return local.locations if local else explanation.evidence.contributions


def drawn_map(arrays: ImageArrays) -> np.ndarray:
    """The evidence as the report draws it: local evidence pixel by pixel; without it, by region, and by pixel where the input does not divide into regions."""
    return pixel_map(arrays) if arrays.explanation.local_evidence else regional_sums(arrays)


def regional_sums(arrays: ImageArrays) -> np.ndarray:
    """`pixel_map` by region; by pixel where the network's input does not divide into regions."""
    pixels = pixel_map(arrays)
    return regional(pixels, 1 if any(side % REGION for side in pixels.shape) else REGION)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
