"""DICOM intake: which images a set of files holds, and their pixels as a radiologist sees them."""
