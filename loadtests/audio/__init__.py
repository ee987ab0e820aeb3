"""Audio load: a room of publishers and listeners on one UDP socket, and what it costs the server."""
