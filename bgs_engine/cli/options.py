"""Command-line options made from configuration data classes, so that defaults and help texts exist once."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def add_config(parser: argparse.ArgumentParser, config: type[Any]) -> None:
    """One option for every field of the data class that has a help text."""
    for field in dataclasses.fields(config):
        if "help" not in field.metadata:
            continue
        flag = f"--{field.name.replace('_', '-')}"
        if field.type is bool or isinstance(field.default, bool):
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, action=action, default=field.default, help=field.metadata["help"])
        else:
            kind = field.metadata.get("type", type(field.default))
            parser.add_argument(
                flag,
                type=_or_none(kind) if field.default is None else kind,
                default=field.default,
                choices=field.metadata.get("choices"),
                help=field.metadata["help"],
            )


def config_from(arguments: argparse.Namespace, config: type[T], **fixed: Any) -> T:
    """The data class filled from the options that `add_config` made for it, and from `fixed`."""
    fields = dataclasses.fields(config)  # type: ignore[arg-type]
    given = {field.name: getattr(arguments, field.name) for field in fields if "help" in field.metadata}
    return config(**{**given, **fixed})


def _or_none(kind: type[int] | type[float]) -> Callable[[str], int | float | None]:
    """Reads a number; a negative one stands for None, the value that suits."""

    def read(text: str) -> int | float | None:
        value = kind(text)
        return None if value < 0 else value

    read.__name__ = kind.__name__  # argparse names it where the text is no number
    return read
