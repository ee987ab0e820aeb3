"""One module per parser; each has a list `TARGETS`."""
