"""What a model decides by: its own images changed on purpose, and what it answers then.

`run.audit(subject, data, ...)` is the one entry: it gives an `Audit` of figures with intervals, a
verdict by written rules (`verdict`) and the examples that its page shows. `changes` and `planted`
make the changed images, `linear` asks how much of the label a plain model reads where it should
not, `regions` says where the region is that should decide.
"""
