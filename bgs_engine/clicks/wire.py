"""Asks and answers as JSON: how `bgs serve` and Blender hand prompts and suggestions to each other.

What arrives comes from another program and may be anything: each field is checked, and no more memory is asked for than
a splat of that size can need. docs/reference/formats.md describes the messages.
"""

import base64
import math
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgs_engine.clicks.prompt import Answer, Prompt, Suggestion
from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError

FAST = 1  # zlib's level: a set of a million Gaussians takes milliseconds, and a pipe does not need it smaller
SETS = ("marked", "excluded", "among", "so_far")  # of a prompt
MOST_PLACES = 1000  # of a prompt
MOST_PIXELS = 1 << 14  # a side of the camera's picture
MOST_SUGGESTIONS = 16  # of an answer
RIGID = 1e-3  # how far the axes of a camera may be from right angles and from length 1: it may have been float32
LARGEST_NUMBER = 2**53  # whole numbers that every JSON reader keeps
OTHER_VERSION = "Install the engine that belongs to this extension: press Install Engine."


@dataclass(frozen=True)
class Reply:
    """An answer with the number of its ask, and the seconds that it took the engine."""

    id: int
    answer: Answer
    seconds: float


def encode_set(members: np.ndarray) -> str:
    """A set of Gaussians, bool [N], as text: base64 of zlib of one bit a Gaussian."""
    return _packed(np.packbits(np.asarray(members, bool)).tobytes())


def decode_set(text: Any, count: int, called: str = "a set") -> np.ndarray:
    """The set that `encode_set` wrote, bool [count].

    Args:
        text: what arrived.
        count: N, the number of Gaussians.
        called: its name for the error.

    Raises:
        InputError: it is no text, is damaged, or is a set of another number of Gaussians.
    """
    data = _unpacked(text, (count + 7) // 8, called)
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if bits[count:].any():
        raise _wrong(f"{called} is a set of more than {count:,} Gaussians")
    return bits[:count].astype(bool)


def encode_shares(values: np.ndarray) -> str:
    """Numbers from 0 to 1 [M] as text: base64 of zlib of one byte each, 255 for 1."""
    bytes_ = np.rint(np.clip(np.asarray(values, np.float32), 0, 1) * 255).astype(np.uint8)
    return _packed(bytes_.tobytes())


def decode_shares(text: Any, count: int, called: str = "the confidence") -> np.ndarray:
    """The numbers that `encode_shares` wrote, float32 [count].

    Raises:
        InputError: it is no text, is damaged, or has another number of values.
    """
    return np.frombuffer(_unpacked(text, count, called), np.uint8).astype(np.float32) / 255


def ask_message(number: int, prompt: Prompt) -> dict[str, Any]:
    """A prompt as the message `ask` of this number."""
    message: dict[str, Any] = {
        "do": "ask",
        "id": int(number),
        "places": np.asarray(prompt.places, np.float64).reshape(-1, 3).tolist(),
        "inside": np.asarray(prompt.inside, bool).tolist(),
    }
    for name in SETS:
        members = getattr(prompt, name)
        if members is not None:
            message[name] = encode_set(members)
    if prompt.camera is not None:
        camera = prompt.camera
        message["camera"] = {
            **{name: int(getattr(camera, name)) for name in ("width", "height")},
            **{name: float(getattr(camera, name)) for name in ("fx", "fy", "cx", "cy")},
            "viewmat": np.asarray(camera.viewmat, np.float64).tolist(),
            "orthographic": bool(camera.orthographic),
        }
    return message


def id_of(message: Any) -> int | None:
    """The number of an ask or of what answers it; None if it has none."""
    number = message.get("id") if isinstance(message, Mapping) else None
    usable = isinstance(number, int) and not isinstance(number, bool) and abs(number) <= LARGEST_NUMBER
    return number if usable else None


def prompt_from(message: Mapping[str, Any], count: int) -> Prompt:
    """The prompt of a message `ask`.

    Args:
        message: what arrived.
        count: N, the number of Gaussians.

    Raises:
        InputError: the number of the ask is missing, a field is malformed, or the prompt points at nothing.
    """
    if id_of(message) is None:
        raise _wrong("'id' is no whole number")
    places = _array(message.get("places", []), "'places'")
    if places.size == 0:
        places = places.reshape(0, 3)
    if places.ndim != 2 or places.shape[1] != 3 or len(places) > MOST_PLACES:
        raise _wrong(f"'places' is no list of at most {MOST_PLACES} points [x, y, z]")
    inside = message.get("inside", [])
    if not isinstance(inside, list) or not all(isinstance(value, bool) for value in inside):
        raise _wrong("'inside' is no list of true and false")
    if len(inside) != len(places):
        raise _wrong(f"'inside' has {len(inside)} values for {len(places)} places")
    sets = {name: decode_set(message[name], count, f"'{name}'") for name in SETS if message.get(name) is not None}
    if not len(places) and not any(sets[name].any() for name in ("marked", "excluded") if name in sets):
        raise InputError("The prompt points at nothing.", "Click on a thing, or mark Gaussians of it.")
    given = message.get("camera")
    camera = None if given is None else _camera(given)
    return Prompt(places, np.array(inside, bool), **sets, camera=camera)


def answer_message(number: int, answer: Answer, seconds: float) -> dict[str, Any]:
    """The fields of the event `answer` to the ask of this number."""
    suggestions = [
        {
            "gaussians": encode_set(suggestion.gaussians),
            "confidence": encode_shares(suggestion.confidence[suggestion.gaussians]),
            "count": int(suggestion.gaussians.sum()),
            "views": int(suggestion.views),
        }
        for suggestion in answer.suggestions
    ]
    return {"id": number, "suggestions": suggestions, "likeliest": int(answer.likeliest), "seconds": round(seconds, 3)}


def answer_from(message: Mapping[str, Any], count: int) -> Reply:
    """What an event `answer` says. Gaussians outside of a suggestion have confidence 0.

    Raises:
        InputError: a field is malformed.
    """
    number = id_of(message)
    if number is None:
        raise _wrong("'id' is no whole number")
    given = message.get("suggestions")
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_SUGGESTIONS:
        raise _wrong(f"'suggestions' is no list of 1 to {MOST_SUGGESTIONS} suggestions")
    likeliest = message.get("likeliest")
    if not isinstance(likeliest, int) or isinstance(likeliest, bool) or not 0 <= likeliest < len(given):
        raise _wrong("'likeliest' is no number of a suggestion")
    seconds = message.get("seconds", 0.0)
    return Reply(
        number,
        Answer(tuple(_suggestion(one, count) for one in given), likeliest),
        float(_number(seconds, "'seconds'")),
    )


def _suggestion(given: Any, count: int) -> Suggestion:
    if not isinstance(given, Mapping):
        raise _wrong("a suggestion is no object")
    members = decode_set(given.get("gaussians"), count, "'gaussians'")
    confidence = np.zeros(count, np.float32)
    confidence[members] = decode_shares(given.get("confidence"), int(members.sum()), "'confidence'")
    views = given.get("views")
    if not isinstance(views, int) or isinstance(views, bool) or not 0 <= views <= LARGEST_NUMBER:
        raise _wrong("'views' is no number of views")
    return Suggestion(members, confidence, views)


def _camera(given: Any) -> Camera:
    if not isinstance(given, Mapping):
        raise _wrong("'camera' is no object")
    width, height = (_side(given.get(name), name) for name in ("width", "height"))
    fx, fy, cx, cy = (_number(given.get(name), f"'{name}' of the camera") for name in ("fx", "fy", "cx", "cy"))
    if fx <= 0 or fy <= 0:
        raise _wrong("'fx' or 'fy' of the camera is not above 0")
    viewmat = _array(given.get("viewmat"), "'viewmat' of the camera")
    if viewmat.shape != (4, 4) or not np.array_equal(viewmat[3], (0, 0, 0, 1)):
        raise _wrong("'viewmat' of the camera is no matrix of 4 x 4 numbers with 0, 0, 0, 1 at the end")
    axes = viewmat[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):
        rigid = np.abs(axes @ axes.T - np.eye(3)).max() <= RIGID and np.linalg.det(axes) > 0
    if not rigid:
        raise _wrong("'viewmat' of the camera does more than turn and move")
    orthographic = given.get("orthographic", False)
    if not isinstance(orthographic, bool):
        raise _wrong("'orthographic' of the camera is neither true nor false")
    return Camera("asked", width, height, fx, fy, cx, cy, viewmat, orthographic=orthographic)


def _side(side: Any, name: str) -> int:
    if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= MOST_PIXELS:
        raise _wrong(f"'{name}' of the camera is no number of pixels from 1 to {MOST_PIXELS}")
    return side


def _number(value: Any, called: str) -> float:
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # JSON's whole numbers have no end
            number = float(value)
    if not math.isfinite(number):
        raise _wrong(f"{called} is no finite number")
    return number


def _array(given: Any, called: str) -> np.ndarray:
    """Numbers of a list of lists, float64."""
    rows = given if isinstance(given, list) else None
    if rows is None or len(rows) > MOST_PLACES or not all(isinstance(row, list) and len(row) <= 4 for row in rows):
        raise _wrong(f"{called} is no list of lists of numbers")
    numbers = [[_number(value, f"a number of {called}") for value in row] for row in rows]
    if len({len(row) for row in numbers}) > 1:
        raise _wrong(f"{called} has rows of different lengths")
    return np.array(numbers, np.float64)


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, FAST)).decode("ascii")


def _unpacked(text: Any, length: int, called: str) -> bytes:
    """The `length` bytes that `_packed` packed."""
    longest = 4 * (length + length // 1000 + 64) // 3 + 4  # zlib adds 5 bytes to 16,000 at most, and its frame
    if not isinstance(text, str):
        raise _wrong(f"{called} is no text")
    if len(text) > longest:
        raise _wrong(f"{called} is too long")
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text, validate=True), length + 1)  # never more: it may be a bomb
    except (ValueError, zlib.error):
        raise _wrong(f"{called} is damaged") from None
    if len(data) != length or not inflate.eof or inflate.unused_data:
        raise _wrong(f"{called} does not have {length:,} bytes: it is damaged or belongs to another splat")
    return data


def _wrong(fact: str) -> InputError:
    return InputError(f"A message is not understood: {fact}.", OTHER_VERSION)
