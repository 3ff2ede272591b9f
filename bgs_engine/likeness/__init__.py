"""Which sets of Gaussians look alike and are about as large, however they are turned. Needs NumPy only."""
