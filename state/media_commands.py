"""The commands of audio, answered by the media service. `state.commands` lists them with all others."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from state import limits
from state.fields import Base, Sdp
from state.ids import Identifier

_CAMEL: Final = {
    "dtls_parameters": "dtlsParameters",
    "rtp_parameters": "rtpParameters",
    "rtp_capabilities": "rtpCapabilities",
}


class RtcCapabilities(Base, frozen=True, tag="rtc:capabilities"):
    """Asks what the router can forward."""


class RtcCreateTransport(Base, frozen=True, tag="rtc:create_transport"):
    """Opens a way for media in one direction."""

    direction: Literal["send", "recv"]


class RtcConnectTransport(Base, frozen=True, tag="rtc:connect_transport", rename=_CAMEL):
    """Hands in the DTLS fingerprints of the client."""

    transport_id: Identifier
    dtls_parameters: dict[str, Any]


class RtcProduce(Base, frozen=True, tag="rtc:produce", rename=_CAMEL):
    """Starts to send audio."""

    transport_id: Identifier
    kind: Literal["audio"]
    rtp_parameters: dict[str, Any]


class RtcProducers(Base, frozen=True, tag="rtc:producers"):
    """Lists who sends audio."""


class RtcConsume(Base, frozen=True, tag="rtc:consume", rename=_CAMEL):
    """Starts to receive one user's audio, or a slot of the loudest."""

    transport_id: Identifier
    rtp_capabilities: dict[str, Any]
    producer_id: Identifier | None = None
    slot: Annotated[int, Meta(ge=0, lt=limits.SLOTS_MAX)] | None = None


class RtcResumeConsumer(Base, frozen=True, tag="rtc:resume_consumer"):
    """Lets packets flow."""

    consumer_id: Identifier


class RtcPauseConsumer(Base, frozen=True, tag="rtc:pause_consumer"):
    """Stops packets for a while."""

    consumer_id: Identifier


class RtcCloseConsumer(Base, frozen=True, tag="rtc:close_consumer"):
    """Ends receiving."""

    consumer_id: Identifier


class RtcCloseProducer(Base, frozen=True, tag="rtc:close_producer"):
    """Ends sending."""

    producer_id: Identifier


class RtcRestartIce(Base, frozen=True, tag="rtc:restart_ice"):
    """Asks for new ICE credentials after a change of network."""

    transport_id: Identifier


class RtcStats(Base, frozen=True, tag="rtc:stats"):
    """Asks for the counters of one's own transports."""


class RtcOffer(Base, frozen=True, tag="rtc:offer"):
    """One SDP offer for everything: a mic and any number of slots."""

    sdp: Sdp


class RtcForward(Base, frozen=True, tag="rtc:forward"):
    """Sends a user's voice as plain RTP to a port of the media worker's machine. For services only."""

    user_id: Identifier
    port: Annotated[int, Meta(ge=1024, le=65_535)]


class RtcStopForward(Base, frozen=True, tag="rtc:stop_forward"):
    """Ends a forward. For services only."""

    forward_id: Identifier


RtcCommand = (
    RtcCapabilities
    | RtcCreateTransport
    | RtcConnectTransport
    | RtcProduce
    | RtcProducers
    | RtcConsume
    | RtcResumeConsumer
    | RtcPauseConsumer
    | RtcCloseConsumer
    | RtcCloseProducer
    | RtcRestartIce
    | RtcStats
    | RtcOffer
    | RtcForward
    | RtcStopForward
)
