"""`python -m realtime.native`: builds the library and says where it is, or why there is none."""

import sys

from realtime.native import LIBRARY
from state.compiled import build_and_say

if __name__ == "__main__":
    sys.exit(build_and_say(LIBRARY))
