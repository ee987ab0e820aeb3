"""What a node's `/metrics` says of its media workers, from their announcements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from sfu.engine import LATENCY_BOUNDS_SECONDS
from sfu.placement import Announcement

LATENCIES = len(LATENCY_BOUNDS_SECONDS) + 1
GAUGES = {
    "load": "Share of a core that a media worker uses.",
    "rooms": "Rooms on a media worker.",
    "transports": "Client transports on a media worker.",
    "producers": "Voices that arrive at a media worker.",
    "consumers": "Streams that leave a media worker.",
}
COUNTERS = {
    "packets_received": "Datagrams that arrived.",
    "packets_forwarded": "Packets sent to listeners.",
    "datagrams_foreign": "Datagrams from unknown sources, dropped.",
    "datagrams_empty": "Empty datagrams, dropped.",
    "datagrams_oversized": "Oversized datagrams, dropped.",
    "control_dropped": "STUN and DTLS that came faster than it was taken.",
    "send_failures": "Packets that the kernel did not take.",
    "stun_answered": "Checks answered.",
    "stun_unknown_user": "Checks of unknown users, dropped.",
    "stun_malformed": "Malformed STUN, dropped.",
    "stun_forged": "Checks with a wrong integrity, dropped.",
    "stun_refused": "Checks from an address that another client uses.",
    "late_ticks": "Turns of the clock that came late.",
    "packets_lost": "Packets lost on the way in, over all voices.",
}


class MediaMetrics(Collector):
    """The figures of the workers that this node supervises."""

    def __init__(self, node: str, registry: CollectorRegistry | None = None) -> None:
        self._node, self._registry = node, registry or REGISTRY
        self._workers: Mapping[str, Announcement] = {}

    def start(self) -> None:
        self._registry.register(self)

    def stop(self) -> None:
        self._registry.unregister(self)

    def update(self, workers: Mapping[str, Announcement]) -> None:
        self._workers = {name: w for name, w in workers.items() if w.node == self._node}

    def describe(self) -> Iterable[Metric]:
        """Nothing to ask before the first announcement."""
        return []

    def collect(self) -> Iterable[Metric]:
        for name, text in GAUGES.items():
            gauge = GaugeMetricFamily(f"flylive_media_{name}", text, labels=["worker"])
            for worker in self._workers.values():
                gauge.add_metric([worker.worker], getattr(worker, name))
            yield gauge
        for name, text in COUNTERS.items():
            counter = CounterMetricFamily(f"flylive_media_{name}", text, labels=["worker"])
            for worker in self._workers.values():
                counter.add_metric([worker.worker], worker.figures.get(name, 0.0))
            yield counter
        yield self._latency()

    def _latency(self) -> Metric:
        text = "Time from reading a voice's packet to having sent it on."
        family = HistogramMetricFamily("flylive_media_forward_seconds", text, labels=["worker"])
        for worker in self._workers.values():
            counts = [worker.figures.get(f"latency_bucket_{n}", 0.0) for n in range(LATENCIES)]
            total, buckets = 0.0, []
            for bound, count in zip([*map(str, LATENCY_BOUNDS_SECONDS), "+Inf"], counts, strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric([worker.worker], buckets, sum_value=None)
        return family
