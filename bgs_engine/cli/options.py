"""Command-line options made from configuration data classes, so that defaults and help texts exist once."""

import argparse
import dataclasses
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
            parser.add_argument(
                flag,
                type=type(field.default),
                default=field.default,
                choices=field.metadata.get("choices"),
                help=field.metadata["help"],
            )


def config_from(arguments: argparse.Namespace, config: type[T], **fixed: Any) -> T:
    """The data class filled from parsed options."""
    names = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return config(**{**given, **fixed})
