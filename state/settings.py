"""The typed configuration tree: one frozen struct per section, no input or output.

Each field carries its bounds and one sentence for the reader of `flylive config doc`. Where values come from
(file, environment, flags) is the loader's business, see `realtime/config.py`. Units stand last in a name.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

SECRET = {"secret": True}

Rate = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]+(\.[0-9]+)?/[0-9]+$",
        description="What is admitted: per second in the long run, and at once: `per_second/burst`.",
    ),
]


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """This process: where it listens and keeps its files."""

    host: Annotated[
        str,
        Meta(min_length=1, description="Address to listen on; development keys work on loopback only."),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port for HTTP; 0 takes a free one.")] = 8080
    data_dir: Annotated[
        str,
        Meta(description="Directory of the embedded servers; empty: ./.data, for root /var/lib/flylive."),
    ] = ""
    https_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="Port of the node's own https, opened beyond loopback without a public_url, because "
            "browsers give no microphone to plain http; 0: 8443 for 8080 and so on, or a free one.",
        ),
    ] = 0
    public_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s]+)?$",
            description="URL under which clients reach this deployment; empty: the address listened on.",
        ),
    ] = ""
    drain_seconds: Annotated[
        float,
        Meta(ge=0, le=3600, description="How long a node that was told to stop spreads its disconnects."),
    ] = 10.0
    drain_notice_seconds: Annotated[
        float,
        Meta(ge=0, le=60, description="How long readiness is down before the first client is told."),
    ] = 1.0
    loop_lag_limit_ms: Annotated[
        int,
        Meta(ge=10, le=60_000, description="Delay of the event loop above which the node is not ready."),
    ] = 1000


class Redis(Struct, frozen=True, forbid_unknown_fields=True):
    """Valkey or Redis >= 7.0."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^((redis|rediss|valkey|valkeys|unix|redis\+cluster|rediss\+cluster)://.+)?$",
            description="URL of the server; empty: an embedded Valkey.",
            extra=SECRET,
        ),
    ] = ""
    timeout_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="How long one call may take before it counts as failed.")
    ] = 700
    prefix: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$", description="Start of every key, to share a server.")
    ] = "fl"


class Database(Struct, frozen=True, forbid_unknown_fields=True):
    """Postgres >= 15."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^((postgres|postgresql)://.+)?$",
            description="URL of the server; empty: an embedded Postgres.",
            extra=SECRET,
        ),
    ] = ""
    pool_size: Annotated[int, Meta(ge=2, le=200, description="Connections this node keeps open at most.")] = (
        10
    )
    timeout_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="How long one statement may take before it counts as failed.")
    ] = 5000


class ServiceKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key of a backend, with what it may do."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    secret: Annotated[str, Meta(min_length=1, max_length=512, extra=SECRET)]
    scopes: tuple[str, ...] = ("*",)


class TokenKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that signs or checks room tokens: a shared secret, or an Ed25519 key in PEM."""

    kid: Annotated[str, Meta(min_length=1, max_length=64)]
    secret: Annotated[str, Meta(min_length=32, max_length=4096, extra=SECRET)]
    algorithm: Literal["HS256", "EdDSA"] = "HS256"


class Auth(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is believed."""

    service_key: Annotated[
        str,
        Meta(
            max_length=512,
            description="A service key with every scope; the others stand in service_keys.",
            extra=SECRET,
        ),
    ] = ""
    service_keys: Annotated[
        tuple[ServiceKey, ...],
        Meta(description="Service keys with their scopes; several may be valid during a rotation."),
    ] = ()
    token_keys: Annotated[
        tuple[TokenKey, ...],
        Meta(description="Keys of room tokens; the first signs, all of them verify."),
    ] = ()
    issuer: Annotated[
        str, Meta(min_length=1, max_length=128, description="The `iss` of room tokens, made and accepted.")
    ] = "flylive"
    token_lifetime_seconds: Annotated[
        int, Meta(ge=10, le=30 * 86_400, description="Lifetime of a room token when none is asked for.")
    ] = 3600
    token_lifetime_maximum_seconds: Annotated[
        int, Meta(ge=10, le=30 * 86_400, description="A room token that lives longer is refused.")
    ] = 86_400


class Rooms(Struct, frozen=True, forbid_unknown_fields=True):
    """Behaviour of rooms."""

    seat_kept_seconds: Annotated[
        float, Meta(ge=0, le=3600, description="How long a dropped connection keeps its seat.")
    ] = 30.0
    idle_close_seconds: Annotated[
        float, Meta(ge=0, le=604_800, description="An empty room is closed after this; 0: never.")
    ] = 3600.0
    lease_seconds: Annotated[
        float, Meta(ge=1, le=60, description="A node that is silent for this long is given up.")
    ] = 6.0
    heartbeat_seconds: Annotated[
        float, Meta(gt=0, le=20, description="How often a node renews its lease.")
    ] = 1.5
    probe_seconds: Annotated[
        float, Meta(gt=0, le=10, description="How often subscriptions and positions of rooms are checked.")
    ] = 1.0
    restore_wait_seconds: Annotated[
        float, Meta(ge=0, le=30, description="After lost data, how long copies of a room are collected.")
    ] = 2.5
    sweep_seconds: Annotated[
        float, Meta(gt=0, le=600, description="How often rooms that nobody follows are looked at.")
    ] = 15.0


class Gateway(Struct, frozen=True, forbid_unknown_fields=True):
    """Sockets of clients."""

    origins: Annotated[
        tuple[str, ...],
        Meta(description="Origins that browsers may connect from; empty: the node's own; `*`: any."),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Networks of proxies whose X-Forwarded-For is believed."),
    ] = ()
    advertised_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/]+)?$",
            description="URL under which other nodes reach this one; empty: the address listened on.",
        ),
    ] = ""
    recovery_seconds: Annotated[
        int, Meta(ge=5, le=3600, description="How long a client that was cut off may come back unnoticed.")
    ] = 120
    message_bytes: Annotated[
        int, Meta(ge=4096, le=1 << 20, description="Largest message a client may send.")
    ] = 65_536
    buffer_soft_bytes: Annotated[
        int, Meta(ge=4096, le=1 << 24, description="Unsent bytes above which a client gets no lossy events.")
    ] = 65_536
    buffer_hard_bytes: Annotated[
        int, Meta(ge=65_536, le=1 << 26, description="Unsent bytes above which a client is cut off.")
    ] = 1_048_576
    slow_seconds: Annotated[
        float, Meta(ge=1, le=60, description="How long a client may be behind before it is cut off.")
    ] = 5.0
    address_connections: Annotated[
        int, Meta(ge=1, description="Open connections of one remote address; carriers share addresses.")
    ] = 256
    rate_address_connections: Rate = "20/100"
    address_exempt: Annotated[
        tuple[str, ...],
        Meta(description="Networks without limits per address: load balancers, this machine."),
    ] = ("127.0.0.0/8", "::1/128")
    rate_connection_events: Rate = "50/300"
    rate_connection_chat: Rate = "10/100"
    rate_connection_bytes: Rate = "131072/1048576"
    rate_user_events: Rate = "100/600"
    rate_user_chat: Rate = "20/200"
    rate_room_events: Rate = "5000/10000"
    rate_room_chat: Rate = "1000/2000"
    rate_room_joins: Rate = "2000/10000"
    rate_node_events: Rate = "20000/40000"
    rate_node_chat: Rate = "5000/10000"
    rate_node_joins: Rate = "4000/20000"
    rate_strikes: Rate = "1/50"


class Api(Struct, frozen=True, forbid_unknown_fields=True):
    """REST and money."""

    money_timeout_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="A payment that is not decided by then is refused.")
    ] = 800
    recipient_share_bps: Annotated[
        int, Meta(ge=0, le=10_000, description="What recipients get of a gift, in basis points.")
    ] = 5_000
    verify_seconds: Annotated[
        float, Meta(ge=0, le=30 * 86_400, description="How often the ledger is checked; 0: never.")
    ] = 3600.0
    service_requests_per_second: Annotated[
        float, Meta(gt=0, le=1e6, description="Requests a service key may make, per node.")
    ] = 10_000.0
    user_requests_per_second: Annotated[
        float, Meta(gt=0, le=1e6, description="Requests a user may make, per node.")
    ] = 20.0
    address_requests_per_second: Annotated[
        float, Meta(gt=0, le=1e6, description="Requests without a key or token from one address, per node.")
    ] = 100.0


class Sfu(Struct, frozen=True, forbid_unknown_fields=True):
    """Audio."""

    workers: Annotated[
        int,
        Meta(ge=-1, le=256, description="Media workers this node runs as child processes; -1: one per core."),
    ] = -1
    engine: Annotated[
        Literal["auto", "native", "python"],
        Meta(description="What carries packets; auto: native code where it was built, else Python."),
    ] = "auto"
    host: Annotated[
        str, Meta(description="Address the audio sockets are bound to; empty: that of the node.")
    ] = ""
    tcp: Annotated[
        bool, Meta(description="Offer audio by TCP too, on the same port, for networks without UDP.")
    ] = True
    timeout_ms: Annotated[
        int, Meta(ge=100, le=30_000, description="How long a media worker may take to answer a command.")
    ] = 3_000
    port: Annotated[
        int, Meta(ge=0, le=65_535, description="First UDP port, one per worker; 0 takes free ones.")
    ] = 40_000
    address: Annotated[
        str, Meta(description="Address announced to clients for audio; empty: the address served.")
    ] = ""


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """What the process says of itself."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is written.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "text"],
        Meta(description="json: one object per line; text: for eyes; auto: text on a terminal, else json."),
    ] = "auto"


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole tree."""

    node: Node = Node()
    redis: Redis = Redis()
    database: Database = Database()
    auth: Auth = Auth()
    rooms: Rooms = Rooms()
    gateway: Gateway = Gateway()
    api: Api = Api()
    sfu: Sfu = Sfu()
    log: Log = Log()
