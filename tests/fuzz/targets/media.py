"""Media packets and descriptions from strangers: nothing raises but the one error a parser promises."""

import random

from sfu import rtcp, rtp, sdp, stun
from sfu.framing import BadFrame, Framer
from sfu.ice import candidates
from tests.fuzz.registry import Target

PLACE = sdp.Place("ours", "password", "AB:CD", candidates(["192.0.2.1"], 4000, 4000))
RTP_SEED = bytes.fromhex("906f 0001 0000 03c0 0000 0007 bede 0001 1085 0000".replace(" ", "")) + b"opus" * 10
TWO_BYTE_SEED = bytes.fromhex("b06f00010000003c00000007100000020101850402616200") + b"opus\x01"
RED_SEED = rtp.red_payload([(0, 960, b"before"), (0, 0, b"now")], 111)
RTCP_SEED = (
    rtcp.sender_report(rtcp.SenderReport(5, 1 << 40, 960, 10, 100))
    + rtcp.description([(5, b"someone")])
    + rtcp.receiver_report(5, [rtcp.Block(9, 1, -2, 3, 4, 5, 6)])
    + rtcp.nack(1, 2, [3, 4])
)
STUN_SEED = stun.request(bytes(12), "ufrag:theirs", "password", use_candidate=1, nomination=4)
SDP_LINES = (
    "v=0|o=- 1 2 IN IP4 0.0.0.0|s=-|t=0 0|a=group:BUNDLE 0 1|a=fingerprint:sha-256 AB:CD|a=setup:actpass|"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63|a=mid:0|a=sendonly|a=rtpmap:111 opus/48000/2|a=rtpmap:63 red/48000/2|"
    "a=fmtp:111 minptime=10;useinbandfec=1|a=fmtp:63 111/111|a=extmap:1 "
    + rtp.LEVEL_URI
    + "|a=ssrc:7 cname:x|"
    "a=ice-ufrag:abcd|a=ice-pwd:0123456789|m=audio 9 UDP/TLS/RTP/SAVPF 111|a=mid:1|a=recvonly|"
    "a=rtcp-fb:111 nack|"
    "m=video 9 UDP/TLS/RTP/SAVPF 96|a=inactive"
).split("|")


def mutated(chance: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with a few bytes changed, cut, doubled or put in; sometimes only noise.

    Numbers come from `random()`, which is several times as fast as `randrange`: there are millions of these.
    """
    number = chance.random
    if number() < 0.1:
        return chance.randbytes(int(number() * 80))
    data = bytearray(seeds[int(number() * len(seeds))])
    for _ in range(1 + int(number() * 4)):
        position = int(number() * (len(data) + 1))
        kind = int(number() * 5)
        if kind == 0:
            data[position:position] = chance.randbytes(1 + int(number() * 4))
        elif kind == 1:
            del data[position : position + 1 + int(number() * 8)]
        elif kind == 2:
            data[position:position] = data[position : position + 1 + int(number() * 19)]
        elif position < len(data):
            changes = (0, 255, int(number() * 256), data[position] ^ 1 << int(number() * 8))
            data[position] = changes[int(number() * 4)]
    return bytes(data)


def check_rtp(data: bytes) -> None:
    packet = rtp.parse(data)
    if packet is None:
        return
    assert sum(map(len, packet.extensions.values())) + len(packet.payload) <= len(data)
    blocks = rtp.red_blocks(packet.payload)
    if blocks is not None:
        assert sum(len(block) for _, _, block in blocks) < len(packet.payload)
    if all(packet.extensions.values()):
        again = rtp.parse(rtp.build(packet))
        assert again is None or again.payload == packet.payload


def check_red(data: bytes) -> None:
    blocks = rtp.red_blocks(data)
    if blocks is not None:
        shaped = rtp.red_blocks(rtp.red_payload(blocks, 111))
        assert shaped == [(111, offset, block) for _, offset, block in blocks]


def check_extensions(data: bytes) -> None:
    for profile in (rtp.ONE_BYTE_PROFILE, rtp.TWO_BYTE_PROFILE, 0x100F, 7):
        rtp.parse_extensions(profile, data)


def check_rtcp(data: bytes) -> None:
    for report in rtcp.parse(data):
        if isinstance(report, rtcp.ReceiverReport):
            assert len(report.blocks) <= rtcp.BLOCKS_PER_REPORT


def check_stun(data: bytes) -> None:
    request = stun.parse_request(data)
    user = stun.user_of(data)
    if request is not None:
        assert user is not None
        stun.is_authentic(data, request, b"password")
    stun.mapped_address(data)


def make_sdp(chance: random.Random) -> str:
    lines = list(SDP_LINES)
    for _ in range(chance.randrange(1, 6)):
        position = chance.randrange(len(lines))
        kind = chance.randrange(4)
        if kind == 0:
            del lines[position]
        elif kind == 1:
            lines.insert(position, chance.choice(lines))
        elif kind == 2:
            lines[position] = lines[position][: chance.randrange(len(lines[position]) + 1)]
        else:
            cut = chance.randrange(len(lines[position]) + 1)
            noise = chance.choice(("", " ", ":", "=", ";", "9" * 30, "\0", "é", "٣", "-1", "/"))
            lines[position] = lines[position][:cut] + noise + lines[position][cut:]
        if not lines:
            return ""
    return "\r\n".join(lines)


def check_sdp(text: str) -> None:
    try:
        offer = sdp.parse(text)
        sdp.fingerprints(offer)
        parts = []
        for number, section in enumerate(offer.sections):
            use = sdp.use_of(section)
            if use == sdp.MIC:
                sdp.producer_parameters(section)
            parts.append(sdp.Part(use, number + 1, f"slot{number}"))
        sdp.parse(sdp.answer(offer, PLACE, parts))
    except sdp.BadSdp:
        return


def check_frames(data: bytes) -> None:
    framer = Framer()
    try:
        assert sum(map(len, framer.feed(data))) <= len(data)
    except BadFrame:
        return


TARGETS = [
    Target("media-rtp", lambda chance: mutated(chance, (RTP_SEED, TWO_BYTE_SEED)), check_rtp),
    Target(
        "media-extensions",
        lambda chance: mutated(chance, (RTP_SEED[16:], TWO_BYTE_SEED[16:])),
        check_extensions,
    ),
    Target("media-red", lambda chance: mutated(chance, (RED_SEED,)), check_red),
    Target("media-rtcp", lambda chance: mutated(chance, (RTCP_SEED,)), check_rtcp),
    Target("media-stun", lambda chance: mutated(chance, (STUN_SEED,)), check_stun),
    Target("media-sdp", make_sdp, check_sdp),
    Target("media-frames", lambda chance: mutated(chance, (b"\0\x04abcd\0\x01x",)), check_frames),
]
