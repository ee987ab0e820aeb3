"""`python -m sfu.native`: builds the native engine and says where it is, or why there is none."""

from __future__ import annotations

import sys

from sfu.native.build import LIBRARY
from state.compiled import Unbuilt


def main() -> int:
    try:
        sys.stdout.write(f"{LIBRARY.build()}\n")
    except Unbuilt as error:
        sys.stderr.write(f"native engine not built, plain Python is used: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
