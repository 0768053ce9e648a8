"""From somebody's own images and a list of labels to a set that models are trained on.

`labels` reads the list, `items` joins it with what was handed in, `split` makes the parts, `read`
takes the images in, `duplicates` finds the same image twice, `write` lays the set down whole or not
at all, and `sheet` draws some of it.
"""
