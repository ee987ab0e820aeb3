"""`python -m realtime.cli`: the same as `flylive`."""

import sys

from realtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
