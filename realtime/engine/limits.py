"""What one connection may cost: every bound of the wire level, each with its reason.

The product's settings fill this in; nothing below `realtime/engine` or `realtime/socketio` has another number
of its own. Times are in seconds, sizes in bytes.
"""

import msgspec


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ping_interval_seconds: float = 10.0
    # interval + timeout + one turn of the wheel stays under the 20 s within which half-open clients must go
    ping_timeout_seconds: float = 8.0
    # an upgraded socket that never becomes a Socket.IO connection only costs memory
    connect_timeout_seconds: float = 5.0
    # how long a request line and its headers may dribble in
    head_seconds: float = 5.0
    head_bytes: int = 8192
    # how long the body of a POST may take
    body_seconds: float = 10.0
    # how long we wait for the answer to our WebSocket close frame before the socket is cut
    linger_seconds: float = 2.0
    # above this the kernel buffer is full and the lossy lane is dropped
    soft_buffer_bytes: int = 64 << 10
    # above this, or behind for so long, the client is closed resumably
    hard_buffer_bytes: int = 1 << 20
    slow_seconds: float = 5.0
    # one inbound message; a chat text of 2,000 characters is at most 8 kB of UTF-8, offers of SDP are the
    # largest
    message_bytes: int = 64 << 10
    # nested lists and objects in one packet
    depth: int = 16
    # binary attachments of one packet: the product uses none
    attachments: int = 0
    # packets of one client that wait for the one being handled; beyond it we stop reading from its socket
    inbound_packets: int = 64
    # pieces of one fragmented WebSocket message
    fragments: int = 256
    # control frames (ping, pong) between two messages of one client
    control_frames: int = 64
    # events sent to a client whose CONNECT is still being decided
    held_packets: int = 1024
    # open connections of one client address; 0 means no bound
    connections_per_address: int = 256
    # open connections of one client address that are no WebSockets: REST, polling, heads that dribble; 0: no
    # bound
    plain_connections_per_address: int = 256
    # unanswered acks we asked of one client
    open_acks: int = 256
