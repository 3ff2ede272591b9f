"""What `bgs doctor` says about splat formats that need packages."""

from bgs_engine.devices.doctor import Check
from bgs_engine.formats import read


def format_checks() -> tuple[Check, ...]:
    """One line for each format that needs packages: whether they are here."""
    lines = []
    for one in read.FORMATS:
        if not one.needs:
            continue
        missing = read.missing_packages(one)
        detail = f"{one.suffixes[0]} needs {' and '.join(one.needs)}"
        hint = f"pip install 'bgs-engine[{one.extra}]'"
        lines.append(Check(one.name, not missing, f"{detail}, which is {'not ' * bool(missing)}installed", hint))
    return tuple(lines)
