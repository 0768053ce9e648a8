"""Networks that classify, on disk and in memory.

How to add a kind of model. Write one file that holds

- its settings, a subclass of `medinv.config.ModelConfig` whose field `kind` is a Literal of its
  name (those of shipped kinds stand in `medinv.config`, so that a card is read without torch),
- its network, a subclass of `Calibrated`, or of `InvertibleNetwork` where it runs backwards,
- a `Kind` (`medinv.models.base`) of the settings, how it is built and its loss; what it starts from
  data and fits after training, and what tells its scope, where it has any,

and name the `Kind` in `medinv.models.build.KINDS`. Training, calibration, the card, `medinv train`
and `medinv evaluate` then know it. tests/models/test_new_kind.py adds one so.
"""
