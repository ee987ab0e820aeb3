"""The failures a person at a terminal can mend: one line each, and the exit code the shell gets."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


class CannotStart(Exception):
    """The job failed for a reason outside the code (a port, a disk, a server); the text says what to do."""

    exit_code = EXIT_FAILED


class BadConfiguration(CannotStart):
    """A setting is unknown, of a wrong type or out of bounds; the text names the setting and its source."""

    exit_code = EXIT_USAGE
