"""Binary Gaussian Segmentation engine: any 3D Gaussian splat to one 32-bit integer per Gaussian.

The core (`codes`, `errors`, `events`, `io.ply`, `io.run_folder`) needs numpy and plyfile alone and runs inside
Blender. Everything else imports its heavier packages itself and says which extra to install when one is missing.
"""

__version__ = "0.1.0"
