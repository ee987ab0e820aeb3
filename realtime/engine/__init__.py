"""Engine.IO v4 on aiohttp: sessions over polling and WebSocket without a task, queue or timer per client."""
