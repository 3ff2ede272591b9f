"""Which labels of one level touch, which stand on which, and which lie inside which. Needs NumPy only."""
