"""Socket.IO v5 on our Engine.IO: packets, connections, groups, and python-socketio's interface above them."""

import realtime.stock  # noqa: F401  (before any module of the two is imported)
