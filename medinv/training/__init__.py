"""From a configuration and images to a model folder: train, calibrate, measure, publish."""
