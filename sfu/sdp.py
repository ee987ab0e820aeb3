"""One offer, one answer (RFC 8829): the mic's section becomes a producer, every recvonly section a slot.

The parser keeps what is needed and passes over the rest; it raises `BadSdp` and nothing else. Payload
types and extension ids of the answer are those of the offer. Sections that are not audio, or without Opus,
are rejected and stay out of the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sfu.ortc import Codec, Encoding, Extension, Feedback, Rtcp, RtpParameters
from sfu.rtp import LEVEL_URI, MID_URI

SDP_BYTES = 256 * 1024
SECTIONS = 64
ATTRIBUTES = 256
FORMATS = 64
PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF")
REJECTED, MIC, SLOT = "", "recvonly", "sendonly"
"""What becomes of a section, by our direction in the answer."""


class BadSdp(ValueError):
    """The text is no usable offer; says why."""


@dataclass(slots=True)
class Section:
    kind: str
    protocol: str
    formats: list[str]
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def first(self, name: str) -> str:
        return self.attributes.get(name, [""])[0]

    @property
    def direction(self) -> str:
        names = ("sendonly", "recvonly", "inactive")
        return next((name for name in names if name in self.attributes), "sendrecv")


@dataclass(slots=True)
class Offer:
    session: Section
    sections: list[Section]

    def of(self, section: Section, name: str) -> str:
        return section.first(name) or self.session.first(name)


def parse(text: str) -> Offer:
    """The offer, or BadSdp."""
    if len(text) > SDP_BYTES or not text.startswith("v=0"):
        raise BadSdp("not a session description")
    offer = Offer(Section("", "", []), [])
    current = offer.session
    for line in text.splitlines():
        kind, _, value = line.strip().partition("=")
        if kind == "m":
            current = _media(value)
            offer.sections.append(current)
            if len(offer.sections) > SECTIONS:
                raise BadSdp("too many media sections")
        elif kind == "a":
            name, _, rest = value.partition(":")
            current.attributes.setdefault(name, []).append(rest)
            if len(current.attributes[name]) > ATTRIBUTES:
                raise BadSdp(f"too many {name[:32]} attributes")
    if not offer.sections:
        raise BadSdp("no media section")
    mids = [section.first("mid") for section in offer.sections]
    if any(mids) and (len(set(mids)) != len(mids) or not all(_is_token(mid) for mid in mids)):
        raise BadSdp("media sections need different mids")
    return offer


def _media(value: str) -> Section:
    words = value.split()
    if len(words) < 4 or len(words) > FORMATS + 3:
        raise BadSdp("a media line is cut")
    return Section(words[0], words[2], words[3:])


def _is_token(text: str) -> bool:
    return 0 < len(text) <= 16 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def _number(text: str, highest: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    value = int(text)
    return value if value <= highest else None


def payload_type(section: Section, name: str) -> int | None:
    """Of a codec, by the name in its rtpmap."""
    for line in section.attributes.get("rtpmap", ()):
        number, _, codec = line.partition(" ")
        if codec.strip().lower() == name and number in section.formats:
            found = _number(number, 127)
            if found is not None and not 64 <= found < 96:
                return found
    return None


def opus(section: Section) -> int | None:
    if section.kind != "audio" or section.protocol not in PROTOCOLS:
        return None
    return payload_type(section, "opus/48000/2")


def red(section: Section) -> int | None:
    """RED with Opus inside."""
    found, inner = payload_type(section, "red/48000/2"), opus(section)
    if found is None or inner is None:
        return None
    return found if set(_format(section, found).split("/")) <= {str(inner), ""} else None


def prefers_red(section: Section) -> bool:
    """The order of formats is the order of preference."""
    found, inner = red(section), opus(section)
    if found is None or inner is None:
        return False
    return section.formats.index(str(found)) < section.formats.index(str(inner))


def _format(section: Section, number: int) -> str:
    start = f"{number} "
    lines = section.attributes.get("fmtp", ())
    return next((line.removeprefix(start).strip() for line in lines if line.startswith(start)), "")


def _value(text: str) -> int | str:
    number = _number(text, (1 << 31) - 1)
    return text if number is None else number


def wants_nack(section: Section) -> bool:
    number = opus(section)
    return any(line in (f"{number} nack", "* nack") for line in section.attributes.get("rtcp-fb", ()))


def extensions(section: Section) -> dict[str, int]:
    """Ids of the extensions that are known here."""
    found: dict[str, int] = {}
    for line in section.attributes.get("extmap", ()):
        words = line.split()
        number = _number(words[0].partition("/")[0], 14) if len(words) > 1 else None
        if number and words[1] in (LEVEL_URI, MID_URI):
            found[words[1]] = number
    return found


def fingerprints(offer: Offer) -> list[tuple[str, str]]:
    section = offer.sections[0]
    lines = section.attributes.get("fingerprint") or offer.session.attributes.get("fingerprint", [])
    found = []
    for line in lines:
        algorithm, _, value = line.strip().partition(" ")
        found.append((algorithm, value.strip()))
    return found


def dtls_role(offer: Offer) -> str:
    """Of the client: `server` only if it insists."""
    return "server" if offer.of(offer.sections[0], "setup") == "passive" else "client"


def ice_user(offer: Offer) -> str:
    return offer.of(offer.sections[0], "ice-ufrag")


def use_of(section: Section) -> str:
    """REJECTED, MIC or SLOT."""
    if opus(section) is None or section.direction == "inactive":
        return REJECTED
    return SLOT if section.direction == "recvonly" else MIC


def producer_parameters(section: Section) -> RtpParameters:
    """The mic's section in the other way's words, so that both ways make the same producer."""
    number = opus(section)
    if number is None:
        raise BadSdp("a section without Opus")
    lines = section.attributes.get("ssrc", [])
    ssrc = _number(lines[0].partition(" ")[0], 0xFFFFFFFF) if lines else None
    cname = next((line.partition("cname:")[2] for line in lines if " cname:" in line), "")
    pairs = (part.strip().partition("=") for part in _format(section, number).split(";") if part.strip())
    parameters = {name: _value(value) for name, _, value in pairs}
    feedback = [Feedback("nack")] if wants_nack(section) else []
    return RtpParameters(
        codecs=[Codec("audio/opus", number, 48000, 2, parameters, feedback)],
        mid=section.first("mid") or None,
        header_extensions=[Extension(uri, ident) for uri, ident in extensions(section).items()],
        encodings=[Encoding(ssrc)] if ssrc else [],
        rtcp=Rtcp(cname[:255] or None),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """What the answer says of our side."""

    ufrag: str
    password: str
    fingerprint: str
    candidates: Sequence[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Part:
    """Our side of one section."""

    use: str
    ssrc: int = 0
    cname: str = ""


def answer(offer: Offer, place: Place, parts: Sequence[Part]) -> str:
    pairs = list(zip(offer.sections, parts, strict=True))
    mids = [section.first("mid") for section, part in pairs if part.use and section.first("mid")]
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite"]
    if mids:
        lines.append("a=group:BUNDLE " + " ".join(mids))
    lines += ["a=extmap-allow-mixed"] if "extmap-allow-mixed" in offer.session.attributes else []
    lines += ["a=msid-semantic: WMS *", f"a=fingerprint:sha-256 {place.fingerprint}"]
    setup = "active" if dtls_role(offer) == "server" else "passive"
    for section, part in pairs:
        lines += _section(section, part, place, setup) if part.use else _rejected(section)
    return "\r\n".join(lines) + "\r\n"


def _rejected(section: Section) -> list[str]:
    mid = section.first("mid")
    lines = [f"m={section.kind} 0 {section.protocol} {section.formats[0]}", "c=IN IP4 0.0.0.0", "a=inactive"]
    return [*lines, f"a=mid:{mid}"] if mid else lines


def _section(section: Section, part: Part, place: Place, setup: str) -> list[str]:
    number, redundant = opus(section), red(section) if prefers_red(section) else None
    formats = [str(n) for n in (redundant, number) if n is not None]
    host, port = place.candidates[0]["ip"], place.candidates[0]["port"]
    family = "IP6" if ":" in str(host) else "IP4"
    lines = [f"m=audio {port} {section.protocol} {' '.join(formats)}", f"c=IN {family} {host}"]
    lines += [f"a=mid:{section.first('mid')}"] if section.first("mid") else []
    lines += [f"a={part.use}", "a=rtcp-mux", "a=rtcp-rsize", f"a=ice-ufrag:{place.ufrag}"]
    lines += [f"a=ice-pwd:{place.password}", f"a=setup:{setup}"]
    if redundant is not None:
        lines += [f"a=rtpmap:{redundant} red/48000/2", f"a=fmtp:{redundant} {number}/{number}"]
    lines += [f"a=rtpmap:{number} opus/48000/2", f"a=fmtp:{number} minptime=10;useinbandfec=1"]
    lines += [f"a=rtcp-fb:{number} nack"] if wants_nack(section) else []
    lines += [f"a=extmap:{ident} {uri}" for uri, ident in extensions(section).items()]
    if part.use == SLOT:
        lines += [f"a=msid:{part.cname} {part.cname}", f"a=ssrc:{part.ssrc} cname:{part.cname}"]
    lines += [_candidate(candidate) for candidate in place.candidates]
    return [*lines, "a=end-of-candidates"]


def _candidate(candidate: dict[str, object]) -> str:
    c = candidate
    tail = f" tcptype {c['tcpType']}" if "tcpType" in c else ""
    where = f"{c['ip']} {c['port']} typ host{tail}"
    return f"a=candidate:{c['foundation']} 1 {c['protocol']} {c['priority']} {where}"
