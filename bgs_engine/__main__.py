"""`python -m bgs_engine` is the same program as `bgs`."""

import sys

from bgs_engine.cli import main

if __name__ == "__main__":
    sys.exit(main())
