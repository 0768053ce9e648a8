"""The report for viewers that know nothing of structured reports: Encapsulated PDF."""

from highdicom.base import SOPClass
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from medinv.report import strings
from medinv.report.dicom.common import Analysis, reference


def encapsulated_pdf(analysis: Analysis, pdf: bytes) -> Dataset:
    """The bytes of a PDF as an object of the analysed study.

    highdicom has no class for it; the common modules are its own.
    """
    making, head = analysis.making("pdf"), analysis.first
    equipment = making.pop("contributing_equipment")
    dataset = SOPClass(
        study_instance_uid=head.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        modality="DOC",
        accession_number=head.AccessionNumber,
        patient_id=head.PatientID,
        patient_name=head.PatientName,
        patient_birth_date=head.PatientBirthDate,
        patient_sex=head.PatientSex,
        study_id=head.StudyID,
        study_date=head.StudyDate or None,
        study_time=head.StudyTime or None,
        referring_physician_name=head.ReferringPhysicianName,
        **making,
    )
    dataset.copy_patient_and_study_information(head)
    dataset.ContributingEquipmentSequence = equipment
    dataset.ConversionType, dataset.AcquisitionDateTime = "WSD", None
    dataset.BurnedInAnnotation = "YES" if analysis.burned_in else "NO"
    dataset.DocumentTitle = f"{strings.TITLE}. {strings.RESEARCH_USE}"
    dataset.ConceptNameCodeSequence = [CodedConcept("18748-4", "LN", "Diagnostic imaging report")]
    dataset.VerificationFlag = "UNVERIFIED"
    sources = analysis.sources(analysis.inside)
    dataset.SourceInstanceSequence = [reference(header) for header in sources]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    dataset.EncapsulatedDocumentLength = len(pdf)
    return dataset
