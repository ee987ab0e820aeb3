"""The kernel: ids, limits, the room document, commands, events, transitions, the stores and tokens.

Imports nothing of ours. Everything from ids to transitions is free of clocks, randomness, asyncio and Redis.
"""
