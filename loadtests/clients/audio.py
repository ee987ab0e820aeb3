"""A user of the audio path: ICE, DTLS, SRTP over one UDP socket, without decoding anything.

It offers one mic and some slots (`rtc:offer`), checks the path with STUN, shakes hands with aiortc's DTLS
context, and then speaks: 50 packets a second of an Opus packet's size, each with its speaker, its number and
the time it left. So a listener knows of every packet it hears whether it is whole, whether one before it is
missing, and how long it took. Both ends must be on one machine for the last.

The pacer is one task for all speakers of the process; the clock of each is kept to the millisecond.
"""

import asyncio
import random
import struct
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec
from aioice import stun
from aiortc import rtcdtlstransport as dtls
from OpenSSL import SSL
from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from loadtests.clients.conversation import Fields

PACKET_SECONDS, SAMPLES_PER_PACKET = 0.02, 960
PAYLOAD_TYPE, LEVEL_ID = 111, 1
LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
MARK = b"FLYLOAD1"
HEAD = struct.Struct("!8sIIQ")
PAYLOAD_BYTES = 160
SETTLE_SECONDS, CONSENT_SECONDS, RETRY_SECONDS = 10.0, 5.0, 0.2
# Filler that tells a damaged packet: the same bytes whoever sends.
FILLER = bytes(range(256))[: PAYLOAD_BYTES - HEAD.size]

Heard = Callable[[str, float], None]


class AudioFailed(Exception):
    """The path could not be set up."""


def offer(user: "AudioUser", slots: int, mic: bool) -> str:
    """What a native app would offer: one mic, some slots, one bundle."""
    mids = [str(number) for number in range(slots + mic)]
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}"]
    fingerprint = user.certificate.getFingerprints()[0].value
    for mid in mids:
        sends = mic and mid == "0"
        lines += [
            f"m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{mid}",
            "a=sendonly" if sends else "a=recvonly",
            "a=rtcp-mux",
            f"a=ice-ufrag:{user.name}",
            f"a=ice-pwd:{user.password}",
            f"a=fingerprint:sha-256 {fingerprint}",
            "a=setup:active",
            f"a=rtpmap:{PAYLOAD_TYPE} opus/48000/2",
            f"a=extmap:{LEVEL_ID} {LEVEL_URI}",
            *([f"a=ssrc:{user.ssrc} cname:{user.name}"] if sends else []),
        ]
    return "\r\n".join(lines) + "\r\n"


class Remote(msgspec.Struct, frozen=True):
    """The server's side of the path."""

    name: str
    password: str
    fingerprint: str
    address: tuple[str, int]


def read_answer(sdp: str) -> Remote:
    """What the answer says of the server, with its first UDP candidate."""
    values: dict[str, str] = {}
    for line in sdp.splitlines():
        name, _, value = line.removeprefix("a=").partition(":")
        if name == "candidate" and " udp " not in value.lower():
            continue
        values.setdefault(name, value)
    try:
        words = values["candidate"].split()
        print_of = values["fingerprint"].split(" ", 1)[1].upper()
        return Remote(values["ice-ufrag"], values["ice-pwd"], print_of, (words[4], int(words[5])))
    except (KeyError, IndexError, ValueError) as problem:
        raise AudioFailed(f"an answer without a place to send to: {sdp[:200]}") from problem


def packet(user: "AudioUser", number: int, sent_ns: int) -> bytes:
    """One RTP packet with the level extension and a payload that knows itself."""
    head = struct.pack(
        "!BBHII", 0x90, PAYLOAD_TYPE, number & 0xFFFF, number * SAMPLES_PER_PACKET & 0xFFFFFFFF, user.ssrc
    )
    extension = struct.pack("!HHBBH", 0xBEDE, 1, LEVEL_ID << 4, 0x80 | user.level, 0)
    return head + extension + HEAD.pack(MARK, user.ssrc, number & 0xFFFFFFFF, sent_ns) + FILLER


class Ear:
    """What one listener heard: every packet is checked."""

    def __init__(self, heard: Heard):
        self.heard = heard
        # ssrc of the slot -> (its last RTP number, speaker, that speaker's last number)
        self.slots: dict[int, tuple[int, int, int]] = {}

    def take(self, data: bytes, now_ns: int) -> None:
        first, _, number, _, ssrc = struct.unpack_from("!BBHII", data)
        start = 12 + 4 * (first & 0x0F)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        payload = data[start:]
        if len(payload) <= 3:
            self.heard("silence", 0.0)
            self._follow(ssrc, number, None, 0)
            return
        if len(payload) != PAYLOAD_BYTES or not payload.startswith(MARK) or payload[HEAD.size :] != FILLER:
            self.heard("damaged", 0.0)
            return
        _, speaker, count, sent_ns = HEAD.unpack_from(payload)
        self.heard("packet", max(0, now_ns - sent_ns) / 1e9)
        self._follow(ssrc, number, speaker, count)

    def _follow(self, ssrc: int, number: int, speaker: int | None, count: int) -> None:
        """Numbers of a slot never jump, whoever speaks in it; those of one speaker in it neither."""
        last = self.slots.get(ssrc)
        if last is not None:
            missing = (number - last[0] - 1) & 0xFFFF
            if 0 < missing < 0x8000:
                self.heard("missing", float(missing))
            if speaker is not None and last[1] == speaker and count <= last[2]:
                self.heard("repeated", 0.0)
        self.slots[ssrc] = (number, speaker or 0, count)


class AudioUser(asyncio.DatagramProtocol):
    """One user's media path. `heard(what, amount)` gets "packet" with its delay in seconds, "missing" with
    how many, "damaged", "repeated", "silence"."""

    def __init__(self, heard: Heard, chance: random.Random):
        self.ear = Ear(heard)
        self.certificate: Any = dtls.RTCCertificate.generateCertificate()
        self.name = f"{chance.getrandbits(32):08x}"
        self.password = f"{chance.getrandbits(96):024x}"
        self.ssrc = chance.getrandbits(31) | 1
        self.level = chance.randint(20, 40)
        self.sent = 0
        self.transport: asyncio.DatagramTransport | None = None
        self.inbound: Any = None
        self.outbound: Any = None
        self.checked = asyncio.Event()
        self.flight = asyncio.Event()
        self.consent: asyncio.Task[None] | None = None

    async def open(self, call: Callable[[str, Fields], Any], *, slots: int, mic: bool) -> None:
        """Offer over `call` (the command of the user's connection), check the path, shake hands."""
        answer = await call("rtc:offer", {"sdp": offer(self, slots, mic)})
        if not answer.get("ok"):
            raise AudioFailed(f"the offer was refused: {answer.get('error')}")
        self.remote = read_answer(answer["data"]["sdp"])
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, remote_addr=self.remote.address)
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._check_path()
                await self._shake_hands()
        except TimeoutError as late:
            self.close()
            raise AudioFailed("no path within the time: checks or handshake unanswered") from late
        self.consent = loop.create_task(self._keep_consent())

    def close(self) -> None:
        if self.consent is not None:
            self.consent.cancel()
        if self.transport is not None:
            self.transport.close()
        self.outbound = None

    def speak(self) -> None:
        """Send the next packet now."""
        if self.outbound is None or self.transport is None:
            return
        self.sent += 1
        self.transport.sendto(self.outbound.protect(packet(self, self.sent, time.monotonic_ns())))

    # ICE
    def _send_check(self) -> None:
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.remote.name}:{self.name}"
        request.attributes["PRIORITY"] = 1845501695
        request.attributes["ICE-CONTROLLING"] = self.ssrc
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self.remote.password.encode())
        if self.transport is not None:
            self.transport.sendto(bytes(request))

    async def _check_path(self) -> None:
        while not self.checked.is_set():
            self._send_check()
            await _within(self.checked, RETRY_SECONDS)

    async def _keep_consent(self) -> None:
        while True:
            await asyncio.sleep(CONSENT_SECONDS)
            self._send_check()

    # DTLS
    async def _shake_hands(self) -> None:
        context = self.certificate._create_ssl_context(srtp_profiles=dtls.SRTP_PROFILES)
        self.handshake: Any = SSL.Connection(context)
        self.handshake.set_connect_state()
        while True:
            try:
                self.handshake.do_handshake()
                break
            except SSL.WantReadError:
                pass
            self._flush_handshake()
            self.flight.clear()
            if not await _within(self.flight, RETRY_SECONDS):
                self.handshake.DTLSv1_handle_timeout()
        self._flush_handshake()
        shown = self.handshake.get_peer_certificate(as_cryptography=True)
        if shown is None or dtls.certificate_digest(shown, "sha-256") != self.remote.fingerprint:
            raise AudioFailed("the server's certificate is not the one it announced")
        self._take_keys()

    def _flush_handshake(self) -> None:
        while self.transport is not None:
            try:
                self.transport.sendto(self.handshake.bio_read(1500))
            except SSL.WantReadError:
                return

    def _take_keys(self) -> None:
        chosen = self.handshake.get_selected_srtp_profile()
        profile = next(one for one in dtls.SRTP_PROFILES if one.openssl_profile == chosen)
        length = 2 * (profile.key_length + profile.salt_length)
        view = self.handshake.export_keying_material(b"EXTRACTOR-dtls_srtp", length)
        for index, direction, name in (
            (0, Policy.SSRC_ANY_OUTBOUND, "outbound"),
            (1, Policy.SSRC_ANY_INBOUND, "inbound"),
        ):
            policy = Policy(
                key=profile.get_key_and_salt(view, index),
                ssrc_type=direction,
                srtp_profile=profile.libsrtp_profile,
            )
            policy.allow_repeat_tx = False
            policy.window_size = 1024
            setattr(self, name, Session(policy))

    # asyncio.DatagramProtocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        kind = data[0] if data else 0
        if 127 < kind < 192:
            self._media(data)
        elif 19 < kind < 64:
            self.handshake.bio_write(data)
            self.flight.set()
        elif kind < 4:
            self.checked.set()

    def _media(self, data: bytes) -> None:
        # 64..95 in the second byte without its marker is RTCP.
        if self.inbound is None or 64 <= data[1] & 0x7F < 96:
            return
        try:
            self.ear.take(self.inbound.unprotect(data), time.monotonic_ns())
        except SrtpError:
            self.ear.heard("damaged", 0.0)


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Pacer:
    """Lets all speakers of the process send at their time, 50 times a second each."""

    def __init__(self, late: Callable[[float], None]):
        self.late = late
        self.speakers: list[AudioUser] = []
        self.task: asyncio.Task[None] | None = None

    def add(self, user: AudioUser) -> None:
        self.speakers.append(user)
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._run())

    def remove(self, user: AudioUser) -> None:
        if user in self.speakers:
            self.speakers.remove(user)
        if not self.speakers and self.task is not None:
            self.task.cancel()
            self.task = None

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            for user in self.speakers:
                user.speak()
            due += PACKET_SECONDS
            left = due - time.monotonic()
            self.late(max(0.0, -left))
            await asyncio.sleep(max(0.0, left))
