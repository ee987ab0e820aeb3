"""The room kernel as a part of the node, with its figures for /metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import REGISTRY, CollectorRegistry, CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from state.kernel import Kernel

FIGURES: dict[str, tuple[str, Callable[[Kernel], int]]] = {
    "commands": ("Commands of rooms that were decided.", lambda kernel: kernel.rooms.performed),
    "commits": ("Batches of commands that were written.", lambda kernel: kernel.rooms.commits),
    "attempts": ("Batches that were tried; more than commits where nodes meet.", lambda k: k.rooms.attempts),
    "gaps": ("Gaps in the streams of rooms that were mended.", lambda kernel: kernel.followers.gaps),
    "resets": ("Rooms that had to be shown anew to everybody.", lambda kernel: kernel.followers.resets),
    "restored": ("Rooms that outlived their Redis.", lambda kernel: kernel.recovery.restored),
    "reaped": ("Nodes that were given up.", lambda kernel: kernel.reaper.reaped),
    "lossy_dropped": ("Droppable messages that were dropped.", lambda kernel: kernel.lossy.dropped),
}


class RoomsPart:
    """Opens the kernel first and closes it last: everything else stands on it."""

    name = "rooms"

    def __init__(self, kernel: Kernel, registry: CollectorRegistry = REGISTRY) -> None:
        self.kernel = kernel
        self._registry = registry
        self._figures = KernelFigures(kernel)

    async def start(self) -> None:
        await self.kernel.open()
        self._registry.register(self._figures)

    async def drain(self, seconds: float) -> None:
        """Rooms have nobody to tell: the gateway does."""

    async def stop(self) -> None:
        self._registry.unregister(self._figures)
        await self.kernel.close()

    async def check(self) -> str | None:
        return None


class KernelFigures(Collector):
    """The kernel counts without knowing of metrics; here its counters get their names."""

    def __init__(self, kernel: Kernel | None) -> None:
        self._kernel = kernel

    def describe(self) -> Iterable[Metric]:
        for name, (text, _) in FIGURES.items():
            yield CounterMetricFamily(f"flylive_kernel_{name}", text)

    def collect(self) -> Iterable[Metric]:
        for name, (text, read) in FIGURES.items():
            value = 0 if self._kernel is None else read(self._kernel)
            yield CounterMetricFamily(f"flylive_kernel_{name}", text, value=value)
