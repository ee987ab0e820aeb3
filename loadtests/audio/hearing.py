"""A room's cast, what it will say, and what those who were listened to made of it.

Every packet names its speaker and its number, so a listener notices each that is missing, damaged or heard
twice. When it left and when it came are the generator's own notes.
"""

from collections import Counter

import msgspec
from pylibsrtp import Error as SrtpError

from loadtests.audio.player import ALWAYS, Packet, Played, Player
from loadtests.audio.room import AudioRoom, Member
from loadtests.clients.audio import HEAD, MARK, Ear

FRAME_NS, FRAMES_PER_SECOND = 20_000_000, 50
GOLDEN_RATIO = (5**0.5 - 1) / 2
WARM_SECONDS = 2
"""Slots are given in the first moments; latencies count from then on."""


class Heard(msgspec.Struct):
    """What the sampled listeners heard: how long each packet took, when it left, and how many were what."""

    latencies_ms: list[float]
    departures_ns: list[int]
    counts: Counter[str]

    def note(self, what: str, amount: float) -> None:
        self.counts[what] += int(amount) if what == "missing" else 1


class Cast:
    """Those who speak and those who listen, on one socket."""

    def __init__(self) -> None:
        self.room = AudioRoom()
        self.speakers: list[Member] = []
        self.listeners: list[Member] = []

    def schedule(self, seconds: int) -> list[Packet]:
        """Speakers far from each other, also the first few who get the slots; and what keeps paths open."""
        packets: list[Packet] = []
        for number, speaker in enumerate(self.speakers):
            phase_ns = int(number * GOLDEN_RATIO % 1 * FRAME_NS)
            packets += speaker.speech(seconds * FRAMES_PER_SECOND, phase_ns)
        for member in (*self.speakers, *self.listeners):
            packets += member.checks(seconds * 1_000_000_000)
        return sorted(packets, key=lambda packet: packet.due_ns)

    def player(self, sampled: int, directory: str, capture_seconds: int = ALWAYS) -> Player:
        """Hands the socket over to the generator, which keeps what so many of the listeners get at first."""
        self.room.hand_over()
        server = self.listeners[0].remote.address
        first = self.listeners[len(self.listeners) % sampled].address
        step = max(1, len(self.listeners) // sampled)
        return Player(self.room.sock, server, (first, step), directory, capture_seconds)

    def heard(self, schedule: list[Packet], played: Played) -> Heard:
        left = self._departures(schedule, played)
        heard = Heard([], [], Counter())
        ears: dict[str, Ear] = {}
        for captured in played.captured:
            data, member = captured.data, self.room.members[captured.client]
            if data[0] < 128 or 192 <= data[1] < 224:
                continue
            try:
                clear = member.inbound.unprotect(data)
            except SrtpError:
                heard.note("damaged", 0.0)
                continue
            ears.setdefault(captured.client, Ear(heard.note)).take(clear, captured.at_ns)
            at = clear.find(MARK)
            _, speaker, number, _ = HEAD.unpack_from(clear, at) if at >= 0 else (b"", 0, 0, 0)
            if number >= WARM_SECONDS * FRAMES_PER_SECOND and (left_ns := left.get((speaker, number), 0)):
                heard.latencies_ms.append((captured.at_ns - left_ns) / 1e6)
                heard.departures_ns.append(left_ns)
        return heard

    def _departures(self, schedule: list[Packet], played: Played) -> dict[tuple[int, int], int]:
        """When each packet of each speaker left."""
        left: dict[tuple[int, int], int] = {}
        counts = dict.fromkeys((member.address for member in self.speakers), 0)
        sources = {member.address: member.ssrc for member in self.speakers}
        for packet, left_ns in zip(schedule, played.sent_ns, strict=True):
            if packet.source in counts and packet.data[0] >= 128:
                left[sources[packet.source], counts[packet.source]] = left_ns
                counts[packet.source] += 1
        return left
