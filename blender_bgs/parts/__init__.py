"""Labels as objects of their own in a tree of collections, and back into one cloud."""
