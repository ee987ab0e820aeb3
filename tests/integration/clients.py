"""Real socket.io-client instances, driven from a test. One Node process carries many of them.

async with browser() as clients:
    ann = await clients.open("ann", node.url, token)
    await ann.join()
    await ann.command("seat:take", index=1)
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.children import Child, child

SCRIPT = Path(__file__).with_name("clients.js")
SECONDS = 30.0


class Refused(AssertionError):
    """A command that should have gone well was answered with this error."""

    def __init__(self, name: str, error: dict[str, Any]) -> None:
        super().__init__(f"{name}: {error}")
        self.code = error["code"]


class Clients(Child):
    """The Node process and its clients."""

    async def start(self, name: str, url: str, token: str | None, **how: Any) -> Client:
        """A client that begins to connect. `how`: transports, parser, library, options."""
        auth = how.pop("auth", {} if token is None else {"token": token})
        await self.ask("open", name=name, url=url, auth=auth, **how)
        return Client(self, name)

    async def open(self, name: str, url: str, token: str, **how: Any) -> Client:
        """A connected client."""
        client = await self.start(name, url, token, **how)
        await client.connected()
        return client


class Client:
    """One socket.io-client."""

    def __init__(self, clients: Clients, name: str) -> None:
        self._clients = clients
        self.name = name

    async def _ask(self, op: str, **fields: Any) -> Any:
        return await self._clients.ask(op, name=self.name, **fields)

    async def connected(self, count: int = 1, seconds: float = SECONDS) -> dict[str, Any]:
        """The state, once it has connected this many times."""
        state: dict[str, Any] = await self._ask("connected", count=count, seconds=seconds)
        return state

    async def failed(self, count: int = 1) -> dict[str, Any]:
        """The data of a refused connection."""
        refusal: dict[str, Any] = await self._ask("failed", count=count, seconds=SECONDS)
        return refusal

    async def disconnected(self, count: int = 1, seconds: float = SECONDS) -> list[str]:
        reasons: list[str] = await self._ask("disconnected", count=count, seconds=seconds)
        return reasons

    async def emit(self, event: str, *args: Any, seconds: float = SECONDS) -> Any:
        """The whole answer."""
        return await self._ask("emit", event=event, args=args, seconds=seconds)

    async def command(self, event: str, **fields: Any) -> dict[str, Any]:
        """The data of an accepted command."""
        answer = await self.emit(event, fields)
        if not answer["ok"]:
            raise Refused(event, answer["error"])
        data: dict[str, Any] = answer["data"]
        return data

    async def refusal(self, event: str, **fields: Any) -> dict[str, Any]:
        """The error of a refused command."""
        answer = await self.emit(event, fields)
        assert not answer["ok"], f"{event} was accepted: {answer}"
        error: dict[str, Any] = answer["error"]
        return error

    async def join(self, **fields: Any) -> dict[str, Any]:
        return await self.command("room:join", **fields)

    async def event(
        self, event: str, *, start: int = 0, seconds: float = SECONDS, **fields: Any
    ) -> dict[str, Any]:
        """The body of the first such event, waiting for it."""
        found = await self._ask("event", event=event, fields=fields, seconds=seconds, **{"from": start})
        body: dict[str, Any] = found["body"]
        return body

    async def events(self, start: int = 0) -> list[list[Any]]:
        """Everything received: [name, body, position]."""
        found: list[list[Any]] = await self._ask("events", **{"from": start})
        return found

    async def seqs(self) -> list[int]:
        """The numbers of the room's events, in the order of arrival."""
        return [body["seq"] for _, body, _ in await self.events() if isinstance(body, dict) and "seq" in body]

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._ask("state")
        return found

    async def reached(self, seq: int, seconds: float = SECONDS) -> None:
        await self._ask("reached", seq=seq, seconds=seconds)

    async def cast(self, event: str, *args: Any) -> None:
        await self._ask("cast", event=event, args=args)

    async def use(self, token: str) -> None:
        """From the next connection on."""
        await self._ask("auth", auth={"token": token})

    async def cut(self) -> None:
        """Lose the transport; the client comes back by itself."""
        await self._ask("cut")

    async def move(self, url: str) -> None:
        """From the next connection on, this node."""
        await self._ask("move", url=url)

    async def disconnect(self) -> None:
        await self._ask("disconnect")

    async def connect(self) -> None:
        await self._ask("connect")

    async def close(self) -> None:
        await self._ask("close")


@contextlib.asynccontextmanager
async def real_clients() -> AsyncIterator[Clients]:
    async with child(SCRIPT, Clients) as clients:
        yield clients
