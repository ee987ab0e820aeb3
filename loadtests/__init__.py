"""Traffic: clients, scenarios, recording and replay, benchmarks, peers to compare with.

May import of ours only the declared shapes of `state` (ids, commands, events, wire, limits, rejections):
everything else is met the way a stranger meets it, as a process with a port.
"""
