"""Makes label objects in a tree of collections, and merges them back into one cloud."""
