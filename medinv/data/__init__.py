"""From files to what a network is given: DICOM, NIfTI, images, data sets, phantoms, transforms."""
