"""Text of files, cameras, labels and other programs, made safe for a terminal or a log.

A terminal obeys control characters: an escape sequence in a file name could move the cursor, change the window's title
or hide text. Bytes of a file name that are no UTF-8 cannot be written at all.
"""

import unicodedata

# Control characters, halves of surrogate pairs, line and paragraph separators.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # turn text round


def printable(text: str, keep: str = "") -> str:
    r"""The text with every character that a terminal would obey written as an escape, for example `\x1b`.

    Args:
        text: anything.
        keep: control characters that stay, for example line ends of a table.
    """
    if text.isprintable():  # spaces other than the usual one are not, so this is no more than a fast way
        return text
    return "".join(_escaped(c) if c not in keep and _is_unsafe(c) else c for c in text)


def without_surrogates(value: object) -> object:
    r"""The value with lone surrogates in its texts written as escapes, so that its JSON is valid for every reader.

    Python uses them for bytes of file names that are no UTF-8. Lists and dictionaries are searched as well.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(item) for item in value]
    return value


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _CATEGORIES or character in _DIRECTIONS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
