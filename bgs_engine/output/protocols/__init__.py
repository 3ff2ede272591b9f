"""Published evaluation protocols, one module each: how their data lies on disk, and what is asked of a run.

To add a protocol, write a module with a function `read`, and add it to the list in `table.py`.
"""
