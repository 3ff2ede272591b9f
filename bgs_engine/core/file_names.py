"""Names that people gave, as names of files: safe on every system, and no two alike."""

import unicodedata
from collections.abc import Sequence

FORBIDDEN = set('<>:"/\\|?*')  # Windows; the other systems forbid less
RESERVED = {"con", "prn", "aux", "nul", "clock$", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
MOST_BYTES = 120  # of a name in UTF-8: file systems allow 255 with suffixes, and whole paths on Windows 260 letters
UNNAMED = "unnamed"


def safe_name(name: str) -> str:
    """One name as it may stand in a file name, without a suffix; different names may come out alike."""
    normal = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    kept = "".join("_" if c in FORBIDDEN or unicodedata.category(c).startswith("C") else c for c in normal)
    kept = _cut(kept, MOST_BYTES).strip(" .")
    if not kept:
        return UNNAMED
    return f"{kept}_" if kept.split(".")[0].strip().lower() in RESERVED else kept


def safe_names(names: Sequence[str]) -> list[str]:
    """File names without suffix for `names`, in their order: each is safe, and no two are alike on any system.

    Names that come out alike get a number: Chair, Chair (2). Upper and lower case count as alike, as they do on Windows
    and macOS.
    """
    taken: set[str] = set()
    out = []
    for name in names:
        base = safe_name(name)
        found, number = base, 1
        while found.casefold() in taken:
            number += 1
            found = f"{_cut(base, MOST_BYTES - 8).rstrip(' .')} ({number})"
        taken.add(found.casefold())
        out.append(found)
    return out


def _cut(text: str, most: int) -> str:
    """The beginning of a text, at most so many bytes in UTF-8; no letter is cut in two."""
    return text.encode("utf-8")[:most].decode("utf-8", "ignore")
