"""What the masks of all views say about the scene, before any picture sorts its own masks.

A mask model gives many overlapping candidates for a picture, right and wrong ones. A candidate is real if other views
have candidates of the same Gaussians. `members` finds the Gaussians of every candidate and `groups` joins candidates
that agree. `segments` lets groups and views correct each other. `tree` chooses segments that nest. `labelling` gives
every Gaussian its finest segment, and `paint` makes the level maps of each view.
"""
