"""The DICOM network: images taken, fetched and sent."""
