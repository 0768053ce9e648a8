"""Headers of images as they come from anywhere, for the tests of DICOM results."""

import pydicom
from pydicom import Dataset

CR, CT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2"
SECRETS = ("Doe", "ID-SECRET", "19700101", "ACC-SECRET")


def header(number: int = 1, **elements: object) -> Dataset:
    """A projection of a named patient."""
    ds = Dataset()
    values = {
        "SOPClassUID": CR, "SOPInstanceUID": f"1.2.1.1.{number}", "StudyInstanceUID": "1.2.1",
        "SeriesInstanceUID": "1.2.1.1", "PatientName": "Doe^J\u00fcrgen", "PatientID": "ID-SECRET",
        "PatientBirthDate": "19700101", "PatientSex": "M", "AccessionNumber": "ACC-SECRET",
        "StudyID": "7", "StudyDate": "20260101", "StudyTime": "120000", "Modality": "CR",
        "Rows": 120, "Columns": 100,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME1",
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "PatientOrientation": ["L", "F"], "WindowCenter": 2048, "WindowWidth": 4096,
        "InstanceNumber": number, "BodyPartExamined": "CHEST",
    } | elements  # fmt: skip
    for keyword, value in values.items():
        tag = pydicom.datadict.tag_for_keyword(keyword)
        ds.add(pydicom.DataElement(tag, pydicom.datadict.dictionary_VR(tag), value))
    return ds


def slices(count: int = 3) -> list[Dataset]:
    """Axial slices 5 mm apart."""
    place = {
        "SOPClassUID": CT, "Modality": "CT", "FrameOfReferenceUID": "1.2.9",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PhotometricInterpretation": "MONOCHROME2",
        "PixelSpacing": [0.5, 0.6], "SliceThickness": 5, "RescaleSlope": 1,
        "RescaleIntercept": -1024,
    }  # fmt: skip
    return [header(n, **place, ImagePositionPatient=[-30, -20, 5 * n]) for n in range(1, count + 1)]


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """All content items of a structured report with a concept name, at any depth."""
    here = [
        item
        for item in dataset.get("ContentSequence", ())
        if item.ConceptNameCodeSequence[0].CodeMeaning == name
    ]
    below = [one for item in dataset.get("ContentSequence", ()) for one in items(item, name)]
    return here + below
