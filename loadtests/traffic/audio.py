"""The audio side of a played user: a speaker talks while seated, a listener listens in a few slots.

What was heard is measured like everything else: "audio delay" from mouth to ear, and counters of packets
missing, damaged or repeated. Its datagrams are asyncio's, so that a scenario with audio is played by
`flylive scenario` itself and not by locust's workers.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from loadtests.clients.audio import AudioFailed, AudioUser, Pacer
from loadtests.clients.conversation import Fields
from loadtests.traffic.observing import Stage
from loadtests.traffic.steps import User

LISTENER_SLOTS = 4
# The command after whose success a user of this kind opens the path.
OPENS_AFTER = {"speak": "seat:take", "listen": "room:join"}


class AudioStage:
    """What the audio users of a process share: the pacer."""

    def __init__(self, stage: Stage):
        self.stage = stage
        self.pacer = Pacer(self._late)

    def _late(self, seconds: float) -> None:
        self.stage.measures.success("audio lag", self.stage.clock(), seconds)


class AudioPart:
    """One user's mic or ears."""

    def __init__(self, shared: AudioStage, user: User):
        self.shared, self.user, self.measures = shared, user, shared.stage.measures
        self.media: AudioUser | None = None

    def is_due(self, command: str) -> bool:
        return self.media is None and OPENS_AFTER.get(self.user.group.audio) == command

    async def open(self, call: Callable[[str, Fields], Awaitable[Any]]) -> None:
        speaks, started = self.user.group.audio == "speak", self.shared.stage.clock()
        media = AudioUser(self._heard, self.user.random)
        try:
            await media.open(call, slots=0 if speaks else LISTENER_SLOTS, mic=speaks)
        except (AudioFailed, OSError) as problem:
            self.measures.failed("audio connect", self.shared.stage.clock(), "FAILED", str(problem))
            return
        clock = self.shared.stage.clock()
        self.measures.success("audio connect", clock, clock - started)
        self.media = media
        if speaks:
            self.shared.pacer.add(media)

    def close(self) -> None:
        if self.media is None:
            return
        self.measures.counters["audio_sent"] += self.media.sent
        self.shared.pacer.remove(self.media)
        self.media.close()
        self.media = None

    def _heard(self, what: str, amount: float) -> None:
        if what == "packet":
            self.measures.success("audio delay", self.shared.stage.clock(), amount)
        else:
            self.measures.counters[f"audio_{what}"] += int(amount) if what == "missing" else 1
