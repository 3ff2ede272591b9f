"""One command for everything: `python build.py` makes the extension's zip, `demo` shows it work, `test` checks it.

    python build.py                 dist/binary_gaussian_segmentation-VERSION.zip
    python build.py demo [ARGS]     `bgs demo` in an environment of its own (.venv), made on first use
    python build.py test            lint, types, engine tests, extension tests in every bpy wheel that fits
    python build.py lock            write locks/*.txt anew, the packages with their hashes
    python build.py test --blender  also the real Blender programs, with their window, in chroots (root on Linux)

Standard library only; Python 3.11 or newer.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tools import checks, environments, package


def main() -> int:
    """Exit code 0 if all that was asked for went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("zip", help="make the extension's zip (the default)")
    demo = commands.add_parser("demo", help="run `bgs demo`; further arguments are passed on")
    demo.add_argument("arguments", nargs=argparse.REMAINDER)
    test = commands.add_parser("test", help="run the checks")
    test.add_argument("--blender", action="store_true", help="the real programs too, in chroots")
    test.add_argument("--only", choices=sorted(checks.STEPS), action="append", help="only this step; may be repeated")
    commands.add_parser("lock", help="write the lock files anew; needs the package index")
    options = parser.parse_args()
    match options.command:
        case "demo":
            return environments.call([environments.engine_python(), "-m", "bgs_engine", "demo", *options.arguments])
        case "test":
            return checks.run(options.only or checks.default_steps(blender=options.blender))
        case "lock":
            from tools.lock import make_locks

            make_locks()
            return 0
        case _:
            print(package.make_zip())
            return 0


if __name__ == "__main__":
    sys.exit(main())
