"""Labelled images to train on: one file a source.

Images that lie in files are made a set by `medinv prepare`, whoever published them: no source is
needed for them, and no Python. Where they are packed in a way of their own, a script writes them as
`prepare` reads them, see pipelines/datasets. A source is for what is drawn or computed.

How to add a data source. Write one file that holds

- its settings, a subclass of `medinv.config.DataConfig` whose field `set` is a Literal of its name
  (those of shipped sources stand in `medinv.config`, so that a card is read without numpy arrays),
- a function from these settings to `LabelledImages`, split by patient,
- a `DataSet` (`medinv.data.sets.labelled`) of the two, and what the card says of it,

and name the `DataSet` in `medinv.data.sets.load.SETS`. `medinv train`, `evaluate` and `verify` then
know it. tests/data/test_new_source.py adds one so.
"""
