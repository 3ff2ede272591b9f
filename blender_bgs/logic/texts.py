"""Text that Blender and a terminal can show."""


def as_text(text: str) -> str:
    """The text without halves of characters. Python puts them into file names of Linux that are not UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
