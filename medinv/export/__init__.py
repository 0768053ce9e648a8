"""Models for programs of others: MONAI bundles, torch.export, ONNX.

| file | what it does |
|---|---|
| `programs` | a model as functions of tensors alone: images to features and scores, and back |
| `torch_export`, `onnx` | these as files, read back and compared before they count as written |
| `bundle`, `configs` | a MONAI bundle by the zoo's conventions |
| `runtime` | what a bundle's configurations call: the network, the list of images, the table |

For MONAI's engines a model needs no export: its `forward` is its logits, as `SupervisedTrainer` and
`SupervisedEvaluator` expect of a network. Over windows of a larger image,
`SlidingWindowInferer(size)(image, model.features)` joins features, and
`SlidingWindowInferer(size, overlap=0)(image, lambda x: model(x)[..., None, None])` is a map of
logits with one place a window.
"""
