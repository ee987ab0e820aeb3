"""`python -m sfu.native`: builds the library and says where it is, or why there is none."""

import sys

from sfu.native.build import LIBRARY
from state.compiled import build_and_say

if __name__ == "__main__":
    sys.exit(build_and_say(LIBRARY))
