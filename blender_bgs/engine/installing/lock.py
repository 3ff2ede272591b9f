"""Reads a lock file: exact packages with the SHA-256 of each of their wheels, and the sets that need them.

`python build.py lock` writes lock files. pip reads the packages of some sets, as `requirements` writes them, with
`--require-hashes`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SETS = "# for: "  # begins the line above a package that names its sets
CUDA_ONLY = "torch-for-cuda"  # set of the packages that only the CUDA build of torch needs


@dataclass(frozen=True)
class Locked:
    """One package. `marker` is the condition behind the semicolon, or ""; `hashes` are sorted."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    sets: frozenset[str]

    @property
    def pin(self) -> str:
        """`name==version`."""
        return f"{self.name}=={self.version}"

    @property
    def requirement(self) -> str:
        """The lines that pip reads."""
        marker = f" ; {self.marker}" if self.marker else ""
        return " \\\n    ".join((self.pin + marker, *(f"--hash=sha256:{digest}" for digest in self.hashes)))


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> list[Locked]:
    """All packages of a lock file.

    Raises:
        OSError: the file cannot be read.
        ValueError: a package has no hash, or a line is not understood.
    """
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> list[Locked]:
    """The packages in the text of a lock file, or in what `uv pip compile --generate-hashes` prints.

    Raises:
        ValueError: a package has no hash, or a line is not understood.
    """
    found, sets = [], frozenset[str]()
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith(SETS):
            sets = frozenset(line.removeprefix(SETS).split())
        elif line.strip() and not line.startswith("#"):
            found.append(_package(line, sets))
    return found


def _package(line: str, sets: frozenset[str]) -> Locked:
    words, *hashes = line.split("--hash=sha256:")
    match = re.fullmatch(r"([\w.-]+)==([\w.+!-]+)(?:\s*;\s*(.+))?", words.strip())
    if match is None or not hashes or not all(re.fullmatch(r"[0-9a-f]{64}\s*", digest) for digest in hashes):
        raise ValueError(f"this line of the lock file is not understood: {line[:80]}")
    digests = tuple(sorted(digest.strip() for digest in hashes))
    return Locked(canonical(match[1]), match[2], (match[3] or "").strip(), digests, sets)


def packages(locked: Iterable[Locked], sets: Iterable[str]) -> list[Locked]:
    """The packages that at least one of the sets needs, in the order of the file."""
    wanted = set(sets)
    return [package for package in locked if package.sets & wanted]


def requirements(locked: Iterable[Locked]) -> str:
    """The text of a requirements file for `pip install --require-hashes --no-deps`."""
    return "\n".join(package.requirement for package in locked) + "\n"


def pin_of(locked: Iterable[Locked], name: str) -> str:
    """`name==version` of a package, or "" if the lock has none of that name."""
    return next((package.pin for package in locked if package.name == canonical(name)), "")
