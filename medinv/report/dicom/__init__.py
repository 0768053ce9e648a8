"""Results as DICOM objects in the analysed study: `files.write_dicom_results`."""
