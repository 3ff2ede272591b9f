"""Interactive segmentation: from places that a person points at to the Gaussians of one thing."""
