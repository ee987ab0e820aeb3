"""A line is the socket of a session whose writes go straight to the kernel: see `Session.line`.

Who sends the same bytes to many sessions hands their lines to a `SendEach`. Whatever a line has not taken,
for whatever reason, its session writes, and so learns what is wrong.
"""

from __future__ import annotations

from array import array
from typing import Protocol

NO_LINE = -1


class SendEach(Protocol):
    def __call__(self, lines: array[int], wire: bytes, /) -> int:
        """Sends to each line, and puts in its place how many bytes it has taken. -> how many lines have not
        taken all."""
        ...


def each_for_itself(lines: array[int], _wire: bytes, /) -> int:
    """Where nothing was compiled, every session writes."""
    for index in range(len(lines)):
        lines[index] = 0
    return len(lines)
