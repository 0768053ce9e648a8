"""DICOM intake: which images a set of files holds, and their pixels as a radiologist sees them.

Finding files:

| file | what it does |
|---|---|
| `index` | which images files, folders, zips and lists hold, from their headers alone |
| `walk`, `location` | meets each file once; where it lies, on disk or in a zip |
| `archive`, `whole` | zips and deflated or deeply nested data sets, read within bounds |
| `dicomdir`, `manifest` | lists of files: a medium's table of contents, a CSV |
| `records` | what an index holds: every file is one Instance, Skipped or Broken |

Reading headers:

| file | what it does |
|---|---|
| `header` | the header of one file, and nothing of its pixels |
| `fields`, `charset` | typed values from the raw bytes; texts in DICOM's character sets |
| `labels`, `codes` | values that need a second look; code values that may be quoted |
| `patient` | tells two patients apart and names none |
| `frames` | what holds for single frames of Enhanced objects |
| `geometry`, `orientation` | spacing and affine; how a projection lies |

Choosing images:

| file | what it does |
|---|---|
| `selection`, `objects` | which files are images for the network, and why others are not |
| `repeats` | images given twice, and other content under one UID |
| `grouping` | images that belong together, in the order of the body |
| `rules` | which groups a model is shown, by the rules of its card |
| `left_out` | what no model is shown, in words |
| `volume` | from the slices of a group to one volume and its affine |

Decoding pixels:

| file | what it does |
|---|---|
| `pixels` | the pixels of one image: stored, in the modality's units, as displayed |
| `decode` | stored integers, out of either of the next two |
| `native` | words as they lie in the file |
| `compressed`, `codestream` | decoders, and a look into a frame before they run |
| `colour` | colour to grey |
| `grey`, `windowed`, `levels` | Modality and VOI tables or windows; images through one table |
| `shutter` | what lies outside a display shutter is blanked |
"""
