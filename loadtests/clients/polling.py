"""Engine.IO's long polling under a connection: one GET waits for what the server says, POSTs follow each
other in order. And the upgrade: a WebSocket is tried out beside it and takes over."""

from collections.abc import Awaitable, Callable

from loadtests.clients.conversation import Conversation
from loadtests.clients.machinery import Machinery, Promise, Task
from loadtests.clients.rest import UNREACHABLE, Request, RestCalls

# Longer than the server's pings are apart: until then it may have nothing to say.
PATIENCE_SECONDS = 60.0


class Polling:
    def __init__(self, conversation: Conversation, machinery: Machinery, http: RestCalls):
        self.conversation, self.machinery, self.http = conversation, machinery, http
        self.asking: Task | None = None
        self.posting: Task | None = None
        self.probed: Promise | None = None
        self.is_over = self.is_leaving = False

    async def open(self) -> None:
        """The handshake, and what the conversation answers to it."""
        await self._exchange("GET")
        if not self.conversation.closed:
            self.asking = self.machinery.start(self._ask())
            self.flush()

    async def upgrade(self, dial: Callable[[float], Awaitable[None]], seconds: float) -> None:
        """Go over to a WebSocket. Once it has seen the probe the server ends the GET that waits."""
        self.probed = self.machinery.promise()
        self.conversation.probe()
        await dial(seconds)
        await self.probed.outcome(seconds)
        self.is_over = True
        for task in (self.asking, self.posting):
            if task is not None:
                await task.wait(seconds)
        self.conversation.switch()

    def flush(self) -> None:
        """Post what there is; what comes while a POST is on its way goes with the next."""
        if self.conversation.packets and self.posting is None:
            self.posting = self.machinery.start(self._post())

    def leave(self) -> None:
        """End when everything is posted."""
        self.is_leaving = True
        self.flush()

    def close(self) -> None:
        self.is_over = True
        if self.asking is not None:
            self.asking.cancel()
        if self.probed is not None:
            self.probed.fail(ConnectionError("lost before the upgrade"))
        self.conversation.lost("closed by client")

    async def _ask(self) -> None:
        while not self.is_over and not self.conversation.closed:
            await self._exchange("GET")
            self.flush()

    async def _post(self) -> None:
        while self.conversation.packets and not self.conversation.closed:
            await self._exchange("POST")
        self.posting = None
        if self.is_leaving:
            self.close()

    async def _exchange(self, method: str) -> None:
        body = self.conversation.take_payload() if method == "POST" else None
        request = Request(method, self.conversation.path("polling"), body)
        try:
            response = await self.http.send(request, PATIENCE_SECONDS)
        except UNREACHABLE as problem:
            self.conversation.lost(str(problem) or type(problem).__name__)
            return
        if not response.succeeded:
            self.conversation.lost(f"HTTP {response.status}")
        elif method == "GET":
            self.conversation.receive_payload(str(response.body).encode())
