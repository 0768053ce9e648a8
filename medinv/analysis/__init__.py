"""One study through one model: predictions, the rule that makes a study of images, the result."""
