"""Writes a triangle mesh as PLY, in the space of the splat that it belongs to."""

from pathlib import Path

import numpy as np

from bgs_engine.core.files import writing


def write_mesh_ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write vertices [V, 3] and faces int [F, 3] as binary little-endian PLY, moved into place only when whole.

    The type of the positions, `float` or `double`, is that of `vertices`.

    Raises:
        OutputError: the file cannot be written.
    """
    kind = "double" if vertices.dtype == np.float64 else "float"
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property {kind} {axis}" for axis in "xyz"]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, faces
    with writing(path) as stream:
        stream.write(("\n".join(lines) + "\n").encode("ascii"))
        stream.write(vertices.astype("<f8" if kind == "double" else "<f4").tobytes())
        stream.write(rows.tobytes())
