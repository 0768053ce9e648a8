"""From files to what a network is given: DICOM, NIfTI, images, data sets, phantoms, transforms.

| file or folder | what it does |
|---|---|
| `dicom` | which images a set of files holds, and their pixels; a folder with a table of its own |
| `nifti` | NIfTI volumes: the header as an entry of the index, the voxels with their affine |
| `frame` | what travels on: one decoded frame, and its origin |
| `intake` | from a file to what a network and a reader are shown: the one intake of every command |
| `lossless` | an intake that is a bijection of the stored pixels |
| `resize`, `transforms` | area averages to the network's square; MONAI pipelines around them |
| `sets` | labelled images to train on: one file a source |
| `augment`, `compose` | random changes of training images; films composed in training |
| `phantoms` | radiographs and CT of invented bodies, with opacities whose truth is known |
"""
