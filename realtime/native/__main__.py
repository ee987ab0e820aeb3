"""`python -m realtime.native`: builds the library and says where it is, or why there is none."""

import sys

from realtime.native import LIBRARY
from state.compiled import Unbuilt


def main() -> int:
    try:
        sys.stdout.write(f"{LIBRARY.build()}\n")
    except Unbuilt as error:
        sys.stderr.write(f"native fan-out not built, plain Python is used: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
