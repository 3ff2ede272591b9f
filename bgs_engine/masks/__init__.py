"""From pictures to nested label maps.

`pipeline.make_masks` runs the stage. `sources` lists the mask models and other mask sources that a user can name, and
`formats` the files of other programs. `proposer.MaskProposer` is the interface of every source. `nesting` and `levels`
turn overlapping masks into label maps.
"""
