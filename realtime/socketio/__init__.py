"""Socket.IO v5 on our Engine.IO: packets, connections, groups, and python-socketio's interface above them."""
