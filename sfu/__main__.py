"""`python -m sfu`: a media worker for the node that started it."""

import sys

from sfu.process import child

if __name__ == "__main__":
    sys.exit(child())
