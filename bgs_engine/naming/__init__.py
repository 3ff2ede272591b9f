"""Short names for labels that say what their Gaussians show. Needs NumPy only."""
