"""Automatic masks of every image → nested label maps.

`pipeline.make_masks` is the stage; `proposer.MaskProposer` the interface of its backends; `nesting` and `levels` turn
overlapping masks into label maps.
"""
