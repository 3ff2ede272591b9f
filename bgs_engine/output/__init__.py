"""Makes things from a run: label maps and pictures, PLY files, frames of a shot, scores against true labels.

`previews` draws the pictures of a run's own views, `render` those of `bgs render`, and `frames` those of `bgs frames`.
"""
