"""FlyLive Realtime."""
