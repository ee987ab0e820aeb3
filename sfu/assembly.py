"""A node's share of audio, put together: the service for the gateway, the routes, the supervised workers."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from sfu.metrics import MediaMetrics
from sfu.placement import Placement, Registry
from sfu.signalling import RtcService
from sfu.supervisor import Supervisor
from sfu.whip import WhipResources
from state.identity import Actor
from state.kernel import Kernel
from state.rejections import Code, Rejection
from state.settings import Settings
from state.store import Loaded
from state.tokens import KeyRing
from state.transitions.moderation import admit


@dataclass(frozen=True, slots=True)
class Media:
    """What the composition root takes."""

    service: RtcService
    part: Supervisor
    routes: list[web.RouteDef]


def build_media(settings: Settings, kernel: Kernel, keyring: KeyRing, host: str) -> Media:
    """`host` is the address served: audio is announced there unless the settings say otherwise."""
    registry = Registry(kernel.server, kernel.keys)
    placement = Placement(kernel.server, kernel.keys, registry)
    service = RtcService(
        kernel.node, kernel.signals, registry, placement, timeout_seconds=settings.sfu.timeout_ms / 1000
    )

    async def may_enter(room_id: str, actor: Actor, password: str | None) -> Rejection | None:
        loaded = await kernel.store.load(room_id)
        if not isinstance(loaded, Loaded):
            return Rejection(Code.ROOM_NOT_FOUND)
        return admit(loaded.room, actor, password, kernel.environment.now_ms())

    whip = WhipResources(kernel.node, service, keyring, may_enter)
    supervisor = Supervisor(settings, kernel.node, host, registry, service, MediaMetrics(kernel.node))
    return Media(service, supervisor, whip.routes())
