"""Reads a USD file in a process of its own, `python -m bgs_engine.formats.usd_child FILE`.

usd-core is C++ and trusts its files: a damaged one may end the process, or ask for time or memory without end. So the
process that a user started is not the one that reads. The answer comes through a pipe: the length of a JSON text, the
text, and the bytes of the arrays.
"""

import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np

from bgs_engine.core.child_environment import ENGINE, chosen
from bgs_engine.core.errors import InputError
from bgs_engine.core.files import MOST_JSON_BYTES
from bgs_engine.core.input_files import file_size
from bgs_engine.core.processes import end_tree, start
from bgs_engine.formats.label_tree import Found
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.usd_stage import Stage

ARRAYS = ("means", "scales", "quats", "opacities", "sh")
SECONDS, BYTES_A_SECOND = 60.0, 2e6  # that reading may take: many times what it takes
PROCESSOR_SECONDS = 6  # beside those for its bytes; a busy machine does not change them
MOST_MEMORY, MEMORY_A_BYTE = 8 << 30, 8  # addresses that it may use: most of them are no memory
_LENGTH = struct.Struct("<Q")


def read_apart(path: Path) -> Stage:
    """What `usd_read.read_stage` finds, from a process of its own.

    Raises:
        InputError: not there, no USD, damaged, or without splats.
    """
    seconds = SECONDS + file_size(path, "Check the path and its permissions.") / BYTES_A_SECOND
    environment = {
        **chosen(ENGINE),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PXR_WORK_THREAD_LIMIT": "2",
    }
    command = [sys.executable, "-m", "bgs_engine.formats.usd_child", str(path.resolve())]
    process = start(command, env=environment, output=subprocess.PIPE)
    alarm = threading.Timer(seconds, process.kill)
    alarm.start()
    try:
        assert process.stdout is not None
        return _stage(process.stdout)
    except EOFError:
        raise InputError(
            f"{path.name} is a damaged USD file, or one that does not fit into memory: reading it came to no end.",
            "Export it again.",
        ) from None
    finally:
        alarm.cancel()
        end_tree(process)


def _stage(pipe: IO[bytes]) -> Stage:
    (length,) = _LENGTH.unpack(_filled(pipe, bytearray(_LENGTH.size)))
    if length > MOST_JSON_BYTES:
        raise EOFError
    about = json.loads(_filled(pipe, bytearray(length)))
    if "error" in about:
        raise InputError(*about["error"])
    arrays = [np.empty(shape, np.float32) for shape in about["shapes"]]
    for array in arrays:
        _filled(pipe, array.reshape(-1).view(np.uint8).data)
    ends = np.cumsum(about["counts"]).tolist()
    rows = [slice(end - count, end) for end, count in zip(ends, about["counts"], strict=True)]
    matrices = [np.array(matrix) for matrix in about["matrices"]]
    labels = [(name, facts) for name, facts in about["labels"]]
    means, scales, quats, opacities, sh = arrays
    return Stage(
        RawSplat(means, scales, quats, opacities, sh),
        rows,
        matrices,
        about["codes"],
        Found(about["scene"], labels),
        about["up"],
    )


def _filled(pipe: IO[bytes], buffer: Any) -> Any:
    """The buffer, full. Raises `EOFError` where the process ended before."""
    view, done = memoryview(buffer), 0
    while done < len(view):
        got = pipe.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        done += got
    return buffer


def _main(path: Path) -> None:
    answer = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)  # what usd-core prints is no part of the answer
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    _limit(path)
    from bgs_engine.formats.usd_read import read_stage

    arrays: list[np.ndarray] = []
    about: dict[str, Any]
    try:
        stage = read_stage(path)
        arrays = [getattr(stage.splat, name) for name in ARRAYS]
        about = {
            "shapes": [array.shape for array in arrays],
            "counts": [own.stop - own.start for own in stage.rows],
            "matrices": [matrix.tolist() for matrix in stage.matrices],
            "codes": stage.codes,
            "scene": stage.found.scene,
            "labels": stage.found.labels,
            "up": stage.up,
        }
    except InputError as error:
        about = {"error": [error.message, error.hint]}
    text = json.dumps(about).encode()
    answer.write(_LENGTH.pack(len(text)) + text)
    for array in arrays:
        answer.write(np.ascontiguousarray(array).data)
    answer.flush()
    os._exit(0)  # usd-core may still hold what is damaged


def _limit(path: Path) -> None:
    """Let this process use no more memory and processor time than a whole file needs."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such limits
        import resource

        size = file_size(path)
        limits = {
            resource.RLIMIT_AS: MOST_MEMORY + MEMORY_A_BYTE * size,
            resource.RLIMIT_CPU: PROCESSOR_SECONDS + int(size / BYTES_A_SECOND),
        }
        for kind, most in limits.items():
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
