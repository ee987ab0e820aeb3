"""mediasoup's rtpParameters, as far as audio needs them: shapes, rules, and their refusals.

An unmodified mediasoup-client builds its SDP from what stands here, so the rules are mediasoup's own, checked
against its `ortc` module by differential tests. Payload type and extension ids are Chromium's defaults, so
that most packets keep theirs.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sfu.rtp import LEVEL_URI, MID_URI

OPUS_PAYLOAD_TYPE = 111
LEVEL_ID = 1
MID_ID = 4
ITEMS = 64
"""Codecs, extensions or encodings in one description: Chromium sends about twenty."""

Text = Annotated[str, Meta(max_length=256)]
PayloadType = Annotated[int, Meta(ge=0, le=127)]
Ssrc = Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]


class Unsupported(ValueError):
    """The description is well formed and asks for what is not offered; its text is for people."""


class Shape(msgspec.Struct, frozen=True, rename="camel", omit_defaults=False):
    """Base of all: camel case, and unknown fields passed over, because clients of many versions send them."""


class Feedback(Shape, frozen=True):
    type: Text
    parameter: Text | None = ""


class Codec(Shape, frozen=True):
    """Of rtpParameters."""

    mime_type: Text
    payload_type: PayloadType
    clock_rate: int
    channels: int | None = None
    parameters: dict[Text, Any] = {}
    rtcp_feedback: Annotated[list[Feedback], Meta(max_length=ITEMS)] = []


class CodecCapability(Shape, frozen=True):
    """Of rtpCapabilities."""

    mime_type: Text
    clock_rate: int
    kind: Text | None = None
    preferred_payload_type: PayloadType | None = None
    channels: int | None = None
    parameters: dict[Text, Any] = {}
    rtcp_feedback: Annotated[list[Feedback], Meta(max_length=ITEMS)] = []


class Extension(Shape, frozen=True):
    uri: Text
    id: Annotated[int, Meta(ge=1, le=255)]
    encrypt: bool = False
    parameters: dict[Text, Any] | None = None


class ExtensionCapability(Shape, frozen=True):
    uri: Text
    preferred_id: Annotated[int, Meta(ge=1, le=255)]
    kind: Text | None = None


class Encoding(Shape, frozen=True):
    ssrc: Ssrc | None = None
    max_bitrate: int | None = None


class Rtcp(Shape, frozen=True):
    cname: Text | None = None
    reduced_size: bool | None = None


class RtpParameters(Shape, frozen=True):
    """What a client sends, or is to receive."""

    codecs: Annotated[list[Codec], Meta(max_length=ITEMS)]
    mid: Annotated[str, Meta(max_length=16)] | None = None
    header_extensions: Annotated[list[Extension], Meta(max_length=ITEMS)] = []
    encodings: Annotated[list[Encoding], Meta(max_length=ITEMS)] = []
    rtcp: Rtcp = Rtcp()
    msid: Text | None = None


class RtpCapabilities(Shape, frozen=True):
    """What a client can receive."""

    codecs: Annotated[list[CodecCapability], Meta(max_length=ITEMS)] = []
    header_extensions: Annotated[list[ExtensionCapability], Meta(max_length=ITEMS)] = []


class Fingerprint(Shape, frozen=True):
    algorithm: Text
    value: Text


class DtlsParameters(Shape, frozen=True):
    """Of a client; it may say `auto` although it has decided."""

    fingerprints: Annotated[list[Fingerprint], Meta(min_length=1, max_length=8)]
    role: Text = "auto"


CAPABILITIES: dict[str, Any] = {
    "codecs": [
        {
            "kind": "audio",
            "mimeType": "audio/opus",
            "preferredPayloadType": OPUS_PAYLOAD_TYPE,
            "clockRate": 48000,
            "channels": 2,
            "parameters": {},
            "rtcpFeedback": [{"type": "nack", "parameter": ""}],
        }
    ],
    "headerExtensions": [
        {
            "kind": "audio",
            "uri": uri,
            "preferredId": number,
            "preferredEncrypt": False,
            "direction": "sendrecv",
        }
        for uri, number in ((MID_URI, MID_ID), (LEVEL_URI, LEVEL_ID))
    ],
}
"""The router's, the same on every node: a room that moves needs no new negotiation of ids."""


def is_opus(codec: Codec | CodecCapability) -> bool:
    return codec.mime_type.lower() == "audio/opus" and codec.clock_rate == 48000 and codec.channels == 2


def opus_of(parameters: RtpParameters) -> Codec:
    """The codec a producer sends with. Any other codec beside it is refused, as mediasoup does."""
    for codec in parameters.codecs:
        if not is_opus(codec):
            raise Unsupported(f"codec {codec.mime_type} is not offered")
    if not parameters.codecs:
        raise Unsupported("no codec")
    opus = parameters.codecs[0]
    if 64 <= opus.payload_type < 96:
        raise Unsupported("that payload type cannot be told from RTCP")
    return opus


def extension_id(parameters: RtpParameters, uri: str) -> int:
    return next((extension.id for extension in parameters.header_extensions if extension.uri == uri), 0)


def consumable(producer: RtpParameters) -> dict[str, Any]:
    """What can be had of a producer: router ids and payload type, the producer's own format parameters."""
    router = CAPABILITIES["codecs"][0]
    opus = opus_of(producer)
    return {
        "codecs": [
            {
                "mimeType": router["mimeType"],
                "payloadType": router["preferredPayloadType"],
                "clockRate": router["clockRate"],
                "channels": router["channels"],
                "parameters": dict(opus.parameters),
                "rtcpFeedback": router["rtcpFeedback"],
            }
        ],
        "headerExtensions": [
            {
                "uri": extension["uri"],
                "id": extension["preferredId"],
                "encrypt": extension["preferredEncrypt"],
                "parameters": {},
            }
            for extension in CAPABILITIES["headerExtensions"]
        ],
        "encodings": [{"maxBitrate": encoding.max_bitrate} for encoding in producer.encodings],
        "rtcp": {"cname": producer.rtcp.cname, "reducedSize": True},
        "msid": producer.msid,
    }


def receivable(capabilities: RtpCapabilities) -> CodecCapability | None:
    """The client's Opus, None when it has none."""
    return next((codec for codec in capabilities.codecs if is_opus(codec)), None)


def consumer_parameters(
    source: dict[str, Any], remote: RtpCapabilities, mid: str, ssrc: int, nack: bool = False
) -> dict[str, Any]:
    """rtpParameters of one consumer, from what is `consumable` and what the client can receive."""
    theirs = receivable(remote)
    if theirs is None:
        raise Unsupported("the client cannot receive audio/opus/48000/2")
    feedback = [
        {"type": item.type, "parameter": item.parameter or ""}
        for item in theirs.rtcp_feedback
        if item.type not in ("transport-cc", "goog-remb") and (nack or item.type != "nack" or item.parameter)
    ]
    encoding = {"ssrc": ssrc}
    if bitrate := max((e["maxBitrate"] or 0 for e in source["encodings"]), default=0):
        encoding["maxBitrate"] = bitrate
    offered = {(extension.uri, extension.preferred_id) for extension in remote.header_extensions}
    return {
        "mid": mid,
        "codecs": [{**source["codecs"][0], "rtcpFeedback": feedback}],
        "headerExtensions": [e for e in source["headerExtensions"] if (e["uri"], e["id"]) in offered],
        "encodings": [encoding],
        "rtcp": source["rtcp"],
        "msid": source["msid"],
    }


def wants_nack(remote: RtpCapabilities) -> bool:
    theirs = receivable(remote)
    return theirs is not None and _has_nack(theirs)


def takes_nack(parameters: RtpParameters) -> bool:
    """A producer that sends again what is asked for."""
    return _has_nack(opus_of(parameters))


def _has_nack(codec: Codec | CodecCapability) -> bool:
    return any(item.type == "nack" and not item.parameter for item in codec.rtcp_feedback)
