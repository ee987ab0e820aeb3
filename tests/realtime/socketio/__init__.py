"""Socket.IO above the wire: packets, order, groups, hostile and real clients."""
