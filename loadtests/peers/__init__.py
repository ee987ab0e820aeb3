"""The stacks we replace, with the same room features, started as processes and measured beside ours.

`node()` installs the locked npm packages once (into node_modules, which git ignores) and starts socket.io;
`python_socketio()` starts stock python-socketio. Both take `redis_url` where they can use one.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from loadtests.benchmarks.processes import Process, process

NODE_DIRECTORY = Path(__file__).parent / "node"
TOKEN = "peer"


def install_node_packages() -> str:
    """`npm ci` when the lock file is newer than what is installed. -> path of the node binary"""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        raise RuntimeError("the Node peer needs node and npm on PATH (Node 20 or newer)")
    lock, stamp = NODE_DIRECTORY / "package-lock.json", NODE_DIRECTORY / "node_modules" / ".installed"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        words = [npm, "ci", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(words, cwd=NODE_DIRECTORY, check=True, stdout=subprocess.DEVNULL)
        stamp.touch()
    return program


@contextlib.asynccontextmanager
async def node(parser: str = "json", redis_url: str | None = None) -> AsyncIterator[Process]:
    """socket.io on Node with its default adapter, or with its Redis adapter."""
    program = install_node_packages()
    words = [program, "--expose-gc", "server.js", "{port}", parser]
    environment = {"REDIS_URL": redis_url} if redis_url else {}
    async with process(
        "node peer", words, "/healthz", environment=environment, directory=NODE_DIRECTORY
    ) as peer:
        yield peer


@contextlib.asynccontextmanager
async def python_socketio() -> AsyncIterator[Process]:
    """Stock python-socketio on aiohttp and uvloop."""
    words = [sys.executable, "-m", "loadtests.peers.python_socketio", "{port}"]
    top = Path(__file__).parent.parent.parent
    path = os.pathsep.join(filter(None, [str(top), os.environ.get("PYTHONPATH")]))
    async with process("python-socketio", words, "/healthz", environment={"PYTHONPATH": path}) as peer:
        yield peer
