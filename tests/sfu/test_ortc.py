"""rtpParameters: the same answer as mediasoup's own module, for producers and clients of all kinds."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sfu import ortc
from sfu.rtp import LEVEL_URI, MID_URI
from tests import tools

ORACLE = Path(__file__).parent / "ortc_oracle.js"
CASES = 2000
OTHER_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"


def _codec(chance: random.Random, payload_type_field: str) -> dict[str, Any]:
    codec: dict[str, Any] = {
        "mimeType": chance.choice(["audio/opus"] * 9 + ["audio/OPUS", "audio/PCMU"]),
        "clockRate": chance.choice([48000] * 19 + [8000]),
        "channels": chance.choice([2] * 19 + [1]),
        payload_type_field: chance.choice([96, 100, 109, 111, 120]),
        "parameters": chance.choice([{}, {"useinbandfec": 1}, {"minptime": 10, "stereo": 1}, {"x": "y"}]),
        "rtcpFeedback": [
            {"type": kind, **({"parameter": parameter} if parameter is not None else {})}
            for kind, parameter in chance.sample(
                [("nack", ""), ("nack", "pli"), ("transport-cc", None), ("goog-remb", ""), ("x", "y")],
                chance.randrange(4),
            )
        ],
    }
    if chance.random() < 0.1:
        del codec["rtcpFeedback"]
    return codec


def _producer(chance: random.Random) -> dict[str, Any]:
    uris = chance.sample([MID_URI, LEVEL_URI, OTHER_URI], chance.randrange(4))
    producer: dict[str, Any] = {
        "mid": chance.choice(["0", "audio", "7"]),
        "codecs": [_codec(chance, "payloadType")],
        "headerExtensions": [{"uri": uri, "id": number + 1} for number, uri in enumerate(uris)],
        "encodings": chance.choice(
            [[{"ssrc": 1234, "dtx": False}], [{"ssrc": 9, "maxBitrate": 64000}], [{}], []]
        ),
        "rtcp": chance.choice([{"cname": "who"}, {"cname": "who", "reducedSize": True}]),
        "msid": "stream track",
    }
    if chance.random() < 0.1:
        producer["codecs"].append(_codec(chance, "payloadType") | {"mimeType": "audio/PCMA"})
    return producer


def _remote(chance: random.Random) -> dict[str, Any]:
    codecs = [_codec(chance, "preferredPayloadType") for _ in range(chance.choice([1, 1, 1, 2, 0]))]
    return {
        "codecs": [{**codec, "kind": "audio"} for codec in codecs],
        "headerExtensions": [
            {"kind": "audio", "uri": uri, "preferredId": ident, "direction": "sendrecv"}
            for uri, ident in chance.sample(
                [(MID_URI, 4), (MID_URI, 1), (LEVEL_URI, 1), (LEVEL_URI, 10), (OTHER_URI, 2)],
                chance.randrange(5),
            )
        ],
    }


def _cases() -> list[dict[str, Any]]:
    cases = []
    for number in range(CASES):
        chance = random.Random(number)
        cases.append(
            {
                "router": ortc.CAPABILITIES,
                "producer": _producer(chance),
                "remote": _remote(chance),
                "nack": chance.random() < 0.5,
            }
        )
    return cases


def _ours(case: dict[str, Any]) -> dict[str, Any]:
    producer = msgspec.convert(case["producer"], ortc.RtpParameters)
    remote = msgspec.convert(case["remote"], ortc.RtpCapabilities)
    try:
        source = ortc.consumable(producer)
        found = ortc.consumer_parameters(source, remote, "0", 1, case["nack"])
    except ortc.Unsupported as error:
        return {"error": str(error)}
    return {"parameters": found}


def test_our_rules_are_those_of_mediasoup() -> None:
    cases = _cases()
    done = subprocess.run(
        [str(tools.node()), str(ORACLE)],
        input="\n".join(map(json.dumps, cases)),
        env=dict(tools.node_environment()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    refused = 0
    for case, theirs in zip(cases, answers, strict=True):
        ours = _ours(case)
        if "error" in theirs:
            refused += 1
            assert "error" in ours, (case, theirs)
            continue
        assert "parameters" in ours, (case, ours)
        expected, found = theirs["parameters"], ours["parameters"]
        assert found["encodings"][0].pop("ssrc") != 0
        expected["encodings"][0].pop("ssrc")
        assert found.pop("mid") == "0"
        assert found == expected, case
    assert 0 < refused < CASES / 2


@pytest.mark.parametrize("payload_type", [64, 72, 95])
def test_a_payload_type_that_looks_like_rtcp_is_refused(payload_type: int) -> None:
    parameters = ortc.RtpParameters([ortc.Codec("audio/opus", payload_type, 48000, 2)])
    with pytest.raises(ortc.Unsupported):
        ortc.opus_of(parameters)


def test_nack_is_a_wish_of_the_client() -> None:
    def wish(*feedback: ortc.Feedback) -> bool:
        codec = ortc.CodecCapability("audio/opus", 48000, channels=2, rtcp_feedback=list(feedback))
        return ortc.wants_nack(ortc.RtpCapabilities([codec]))

    assert wish(ortc.Feedback("nack"))
    assert not wish(ortc.Feedback("nack", "pli"))
    assert not wish()
