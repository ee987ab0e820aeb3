"""RTCP: against aiortc's own parser and builder, and against bytes that are none."""

from __future__ import annotations

from aiortc.rtp import RtcpPacket, RtcpRrPacket, RtcpRtpfbPacket, RtcpSdesPacket, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from sfu import rtcp

blocks = st.builds(
    rtcp.Block,
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 255),
    st.integers(-0x800000, 0x7FFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
)


@given(st.lists(blocks, max_size=31))
def test_receiver_reports_are_read_back(given_blocks: list[rtcp.Block]) -> None:
    data = rtcp.receiver_report(7, given_blocks)
    assert list(rtcp.parse(data)) == [rtcp.ReceiverReport(7, tuple(given_blocks))]


def test_aiortc_reads_what_we_send() -> None:
    report = rtcp.SenderReport(5, rtcp.ntp_time(1_700_000_000.5), 960, 10, 1600)
    block = rtcp.Block(9, 12, 3, 70_000, 48, 1, 2)
    data = rtcp.sender_report(report) + rtcp.description([(5, b"ada")])
    data += rtcp.receiver_report(5, [block]) + rtcp.nack(5, 9, [7, 8])
    sender, description, receiver, feedback = RtcpPacket.parse(data)
    assert isinstance(sender, RtcpSrPacket)
    assert (sender.ssrc, sender.sender_info.ntp_timestamp) == (5, report.ntp)
    assert (sender.sender_info.packet_count, sender.sender_info.octet_count) == (10, 1600)
    assert isinstance(description, RtcpSdesPacket)
    assert [(c.ssrc, c.items) for c in description.chunks] == [(5, [(1, b"ada")])]
    assert isinstance(receiver, RtcpRrPacket)
    assert (receiver.reports[0].fraction_lost, receiver.reports[0].packets_lost) == (12, 3)
    assert isinstance(feedback, RtcpRtpfbPacket)
    assert feedback.lost == [7, 8]


def test_we_read_what_aiortc_sends() -> None:
    feedback = RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=[10, 11, 26, 65535])
    assert list(rtcp.parse(bytes(feedback))) == [rtcp.Nack(2, (10, 11, 26, 65535))]


@given(st.binary(max_size=200))
def test_bytes_from_the_network_never_raise(data: bytes) -> None:
    list(rtcp.parse(data))


def test_what_follows_a_fault_is_not_read() -> None:
    good = rtcp.receiver_report(1, [])
    assert len(list(rtcp.parse(good + b"\x80\xc9\x00\x09" + good))) == 1


def test_times_are_quoted_by_their_middle() -> None:
    ntp = rtcp.ntp_time(0.25)
    assert ntp >> 32 == rtcp.NTP_EPOCH_SECONDS
    assert rtcp.middle(ntp) & 0xFFFF == 0x4000
