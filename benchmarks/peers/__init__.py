"""Other ways to label Gaussians, as small honest baselines: same scenes, same masks, same rasteriser, same judge.

Each module says what it keeps of its source and what it leaves out. None is the authors' program: read the table of
`benchmarks/compare.py` as what an idea gives under these conditions, not as a verdict on a paper.
"""
