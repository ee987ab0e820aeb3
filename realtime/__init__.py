"""The node: Socket.IO server, sessions, fan-out, admission; configuration, command line, embedded servers.

Imports `state` only; `realtime/app.py` alone, the composition root, imports every folder.
"""
