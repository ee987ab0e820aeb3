"""Do we speak Engine.IO v4 and Socket.IO v5? The official suites, or our own rewrite of each case."""
