"""Stands in for npm where packages are packed: `install(folder, code)` puts a program of that name into a folder."""

import io
import sys
import tarfile
from pathlib import Path

NAME = "made-1.0.tgz"


def install(folder: Path, code: str) -> None:
    """Make `folder/npm`, which runs Python code in its working folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "npm"
    program.write_text(f"#!{sys.executable}\nimport os, shutil, subprocess, sys, time\n{code}\n")
    program.chmod(0o755)


def archive(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    """An archive with files and symbolic links, as `npm pack` writes them."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return path
