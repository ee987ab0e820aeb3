"""Socket.IO v5 on our Engine.IO: packets, connections, groups, and python-socketio's interface above them."""

import realtime.stock  # noqa: F401  (first: the modules here import from socketio directly)
