"""Says what a file is that is no splat we read, and what to do with it."""

from collections.abc import Collection

from bgs_engine.core.errors import InputError

TRAINER = "Export it from your trainer as 3DGS PLY."
CHOOSE = "Choose the .ply that your splat trainer exported."
_CONVERT = "Convert it to PLY first, with `bgs convert`."

# Beginnings of files that people take for a PLY: (bytes, what it is, what to do).
_BEGINNINGS = (
    (b"\x1f\x8b", "a gzip archive or a compressed splat (.spz)", f"Unpack a .gz. For .spz: {_CONVERT}"),
    (
        b"PK\x03\x04",
        "a zip archive or a compressed splat (.sog)",
        "Unpack a .zip. Give a splat the ending .sog or .usdz.",
    ),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "Run `git lfs pull` where it came from."),
    (b"<", "a web page or XML", "The download failed: fetch the file again."),
    (b"\xef\xbb\xbfply", "a PLY file behind a byte order mark", "A text editor has saved it. Export it again."),
    (b"ply\r", "a PLY file with line ends of old Macs", "Export it again with Unix line ends."),
    (b"NGSP", "a compressed splat (.spz)", _CONVERT),
    (b"glTF", "a glTF file", _CONVERT),
)
_SH_DEGREES = {105: 5, 144: 6}


def unreadable(name: str, head: bytes) -> InputError | None:
    """The error for a file of a kind that people take for a splat; `head` are its first bytes. None: another kind."""
    if not head:
        return InputError(f"{name} is empty.", "Copy or export the file again.")
    for start, what, hint in _BEGINNINGS:
        if head.startswith(start):
            return InputError(f"{name} is {what}.", hint)
    return None


def no_ply(name: str, head: bytes) -> InputError:
    """The error for a file that does not begin like a PLY; `head` are its first bytes."""
    known = unreadable(name, head)
    if known is not None:
        return known
    if name.lower().endswith((".splat", ".ksplat", ".spz", ".sog")):
        return InputError(f"{name} is a compressed splat.", _CONVERT)
    return InputError(f"{name} is not a PLY file.", CHOOSE)


def no_splat(name: str, properties: Collection[str], missing: str, is_mesh: bool) -> InputError:
    """The error for a PLY whose vertices lack the property `missing` of a splat. `properties` are those that it has."""
    have = set(properties)
    shape = {"opacity", "scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3"} <= have
    if missing in {prop.lower() for prop in have}:
        return InputError(f"{name} has {missing.upper()} in capital letters.", f"Rename its properties. {TRAINER}")
    if shape:
        return InputError(f"{name} is a splat without {missing}.", TRAINER)
    what = "a mesh" if is_mesh else "a point cloud"
    return InputError(f"{name} has no {missing}: it is {what}, not a Gaussian splat.", TRAINER)


def wrong_harmonics(name: str, count: int) -> InputError:
    """The error for `count` f_rest properties, which are not those of degree 0 to 4."""
    if count in _SH_DEGREES:
        return InputError(
            f"{name} is a splat with spherical harmonics of degree {_SH_DEGREES[count]} ({count} f_rest properties); "
            "degrees 0 to 4 can be read.",
            "Export it with degree 4 (72 f_rest properties) or 3 (45).",
        )
    return InputError(
        f"{name} has {count} f_rest properties; 0, 9, 24, 45 or 72 (degrees 0 to 4) are possible.",
        "Export the file again.",
    )


def whole_numbers(name: str, prop: str) -> InputError:
    """The error for a property of the shape or opacity that is stored as integers."""
    return InputError(
        f"{name} stores {prop} as whole numbers. A 3DGS file has logarithms, logits and quaternions as floats there.",
        TRAINER,
    )
