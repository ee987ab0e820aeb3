"""The wire: WebSocket frames, sessions, polling, the front."""
