"""Models for programs of others: MONAI bundles, torch.export, ONNX.

| file | what it does |
|---|---|
| `programs` | a model as functions of tensors alone: images to features and scores, and back |
| `torch_export`, `onnx` | these as files, read back and compared before they count as written |
| `bundle`, `configs` | a MONAI bundle by the zoo's conventions |
| `runtime` | what a bundle's configurations call: the network, the list of images, the table |
"""
