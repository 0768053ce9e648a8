"""From files to what a network is given: DICOM, NIfTI, pictures, data sets, phantoms, transforms.

| file or folder | what it does |
|---|---|
| `dicom` | which images a set of files holds, and their pixels; a folder with a table of its own |
| `nifti` | NIfTI volumes: the header as an entry of the index, the voxels with their affine |
| `picture` | PNG, JPEG, TIFF and WebP: found by content, decoded, refused by name |
| `decoded` | decoded images of every format, frame by frame |
| `volume` | a series, a multi-frame image or a NIfTI file as a volume, the body lying one way |
| `frame` | what travels on: one decoded frame, and its origin |
| `intake` | from a file to what a network and a reader are shown: the one intake of every command |
| `lossless` | an intake that is a bijection of the stored pixels |
| `resize`, `transforms` | area averages to the network's size; MONAI pipelines around them |
| `sets` | labelled images to train on: one file a source |
| `augment`, `compose` | random changes of training images; films composed in training |
| `phantoms` | radiographs and CT of invented bodies, with opacities whose truth is known |
"""
