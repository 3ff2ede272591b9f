"""Training codes from masks.

`start` makes the first features. Each step of `steps` draws pixels (`sampling`), renders them (`model`), computes a
gradient (`objectives`) and optimises. `trainer` runs the loop, and `result` makes codes from the trained features.
"""
