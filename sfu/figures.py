"""What `rtc:stats` tells of a transport and of what it carries."""

from __future__ import annotations

from typing import Any

from sfu.connections import ClientTransport
from sfu.engine import Engine


def transport_figures(engine: Engine, transport: ClientTransport) -> dict[str, Any]:
    figures = engine.transport_stats(transport.handle)
    selected = transport.ice.selected
    return {
        "transport_id": transport.id,
        "user_id": transport.user_id,
        "dtls_state": transport.dtls.state,
        "srtp_profile": transport.suite.value if transport.suite else None,
        "protocol": None if selected is None else ("udp" if selected[0] else "tcp"),
        "packets_received": figures.packets_received,
        "bytes_received": figures.bytes_received,
        "packets_sent": figures.packets_sent,
        "bytes_sent": figures.bytes_sent,
        "unprotect_failures": figures.unprotect_failures,
        "malformed": figures.malformed,
        "producers": [_producer(engine, p.id, p.handle, p.is_allowed) for p in transport.producers.values()],
        "consumers": [_consumer(engine, c.id, c.handle, c.is_paused) for c in transport.consumers.values()],
    }


def _producer(engine: Engine, ident: str, handle: int, is_allowed: bool) -> dict[str, Any]:
    figures = engine.producer_stats(handle)
    return {
        "producer_id": ident,
        "packets": figures.packets,
        "bytes": figures.bytes,
        "lost": figures.lost,
        "jitter_ms": round(figures.jitter_seconds * 1000, 1),
        "refused": figures.refused,
        "over_limit": figures.over_limit,
        "asked_again": figures.asked_again,
        "can_publish": is_allowed,
    }


def _consumer(engine: Engine, ident: str, handle: int, is_paused: bool) -> dict[str, Any]:
    figures = engine.consumer_stats(handle)
    trip = figures.round_trip_seconds
    return {
        "consumer_id": ident,
        "packets": figures.packets,
        "bytes": figures.bytes,
        "lost": figures.lost,
        "fraction_lost": round(figures.fraction_lost, 3),
        "jitter_ms": round(figures.jitter_seconds * 1000, 1),
        "round_trip_ms": None if trip is None else round(trip * 1000, 1),
        "retransmitted": figures.retransmitted,
        "paused": is_paused,
    }
