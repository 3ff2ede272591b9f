"""How many views are rendered from a splat by default.

The two commands differ on purpose. `bgs segment` finds masks in each of its views, which takes most of its time: a
trial with 40 views instead of 20 took twice as long and brought nothing clear (docs/lab-book.md, "Why bgs segment
renders 20 views"). `bgs views` makes a dataset that any mask source may use later, so it covers more of the scene.
"""

SEGMENT_VIEWS = 20
DATASET_VIEWS = 60
