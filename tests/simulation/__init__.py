"""The real kernel on virtual time, over a modelled server and a network that fails, replayed by its seed."""
