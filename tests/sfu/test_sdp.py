"""Offers of real clients, answers that real clients take, and texts that are neither."""

from __future__ import annotations

import re

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from sfu import sdp
from sfu.ice import candidates
from sfu.rtp import LEVEL_URI, MID_URI

CHROMIUM = "\r\n".join(
    [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1 2 3",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS",
        *[
            line
            for mid, direction in enumerate(("sendonly", "recvonly", "recvonly"))
            for line in (
                "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
                "c=IN IP4 0.0.0.0",
                "a=rtcp:9 IN IP4 0.0.0.0",
                "a=ice-ufrag:Zvvp",
                "a=ice-pwd:2uYgnsWg6r0zHJ0zHJ0zHJ0z",
                "a=ice-options:trickle",
                "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
                "a=setup:actpass",
                f"a=mid:{mid}",
                f"a=extmap:1 {LEVEL_URI}",
                f"a=extmap:4 {MID_URI}",
                f"a={direction}",
                "a=rtcp-mux",
                "a=rtpmap:111 opus/48000/2",
                "a=rtcp-fb:111 transport-cc",
                "a=fmtp:111 minptime=10;useinbandfec=1",
                "a=rtpmap:63 red/48000/2",
                "a=fmtp:63 111/111",
                *(["a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6"] if mid == 0 else []),
            )
        ],
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:3",
        "a=sendrecv",
        "a=rtpmap:96 VP8/90000",
        "",
    ]
)
PLACE = sdp.Place("ours", "password", ":".join(["CD"] * 32), candidates(["192.0.2.1"], 4000, 4000))


def test_a_browsers_offer_is_understood() -> None:
    offer = sdp.parse(CHROMIUM)
    assert [sdp.use_of(section) for section in offer.sections] == [sdp.MIC, sdp.SLOT, sdp.SLOT, sdp.REJECTED]
    mic = offer.sections[0]
    assert (sdp.opus(mic), sdp.red(mic), sdp.prefers_red(mic)) == (111, 63, False)
    assert sdp.extensions(mic) == {LEVEL_URI: 1, MID_URI: 4}
    assert sdp.ice_user(offer) == "Zvvp"
    assert sdp.dtls_role(offer) == "client"
    assert sdp.fingerprints(offer) == [("sha-256", ":".join(["AB"] * 32))]
    parameters = sdp.producer_parameters(mic)
    assert parameters.encodings[0].ssrc == 3570614608
    assert parameters.rtcp.cname == "4TOk42mSjXCkVIa6"
    assert parameters.codecs[0].parameters == {"minptime": 10, "useinbandfec": 1}


def test_the_answer_is_one_that_aiortc_reads() -> None:
    offer = sdp.parse(CHROMIUM)
    parts = [sdp.Part(sdp.MIC), sdp.Part(sdp.SLOT, 5, "slot0"), sdp.Part(sdp.SLOT, 6, "slot1"), sdp.Part("")]
    text = sdp.answer(offer, PLACE, parts)
    answer = SessionDescription.parse(text)
    assert [media.direction for media in answer.media] == ["recvonly", "sendonly", "sendonly", "inactive"]
    assert [media.port for media in answer.media] == [4000, 4000, 4000, 0]
    assert answer.media[1].ssrc[0].cname == "slot0"
    first = answer.media[0]
    assert first.ice is not None
    assert first.dtls is not None
    assert first.ice.iceLite
    assert "a=group:BUNDLE 0 1 2\r\n" in text
    assert first.dtls.role == "server"
    assert [(c.protocol, c.tcpType) for c in answer.media[0].ice_candidates] == [
        ("udp", None),
        ("tcp", "passive"),
    ]


def test_red_is_answered_to_those_who_prefer_it() -> None:
    offer = sdp.parse(CHROMIUM.replace("111 63 9", "63 111 9"))
    assert sdp.prefers_red(offer.sections[0])
    parts = [sdp.Part(sdp.MIC), sdp.Part(""), sdp.Part(""), sdp.Part("")]
    assert "m=audio 4000 UDP/TLS/RTP/SAVPF 63 111\r\n" in sdp.answer(offer, PLACE, parts)


def test_nack_is_answered_to_those_who_offer_it() -> None:
    offer = sdp.parse(CHROMIUM.replace("a=rtcp-fb:111 transport-cc", "a=rtcp-fb:111 nack"))
    assert sdp.wants_nack(offer.sections[1])
    assert "a=rtcp-fb:111 nack\r\n" in sdp.answer(offer, PLACE, [sdp.Part(sdp.MIC), *[sdp.Part("")] * 3])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "v=0\r\n",
        "v=0\r\nm=audio",
        "v=0\r\nm=audio 9 X 0\r\na=mid:a\r\nm=audio 9 X 0\r\na=mid:a\r\n",
        "v=0\r\nm=audio 9 X 0\r\na=mid:" + "x" * 40,
        "v=0\r\n" + "m=audio 9 X 0\r\n" * 65,
        "v=0\r\nm=audio 9 X 0\r\n" + "a=ssrc:1\r\n" * 300,
        "v=0" + "x" * 300_000,
    ],
)
def test_what_is_no_offer_is_refused(text: str) -> None:
    with pytest.raises(sdp.BadSdp):
        sdp.parse(text)


def everything(text: str) -> None:
    """All that the worker asks of an offer; only BadSdp may come of it."""
    try:
        offer = sdp.parse(text)
        sdp.fingerprints(offer)
        uses = [sdp.use_of(section) for section in offer.sections]
        parts = []
        for section, use in zip(offer.sections, uses, strict=True):
            if use == sdp.MIC:
                sdp.producer_parameters(section)
            parts.append(sdp.Part(use, 1, "slot0"))
        sdp.answer(offer, PLACE, parts)
    except sdp.BadSdp:
        return


LINES = CHROMIUM.split("\r\n")


@given(st.lists(st.sampled_from([*LINES, "a=rtpmap:111", "a=extmap:x y", "a=ssrc:", "m=audio 9 X ٣", "a="])))
def test_shuffled_lines_never_raise_anything_else(lines: list[str]) -> None:
    everything("v=0\r\n" + "\r\n".join(lines))


@given(st.data())
def test_changed_characters_never_raise_anything_else(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(CHROMIUM) - 1))
    everything(CHROMIUM[:position] + data.draw(st.text(max_size=3)) + CHROMIUM[position + 1 :])


def test_the_answer_says_nothing_twice() -> None:
    offer = sdp.parse(CHROMIUM)
    parts = [sdp.Part(sdp.MIC), *[sdp.Part(sdp.SLOT, n, f"slot{n}") for n in (1, 2)], sdp.Part("")]
    sections = re.split(r"(?m)^m=", sdp.answer(offer, PLACE, parts))[1:]
    for section in sections:
        lines = section.split("\r\n")
        assert len(set(lines)) == len(lines) - lines.count("") + 1
