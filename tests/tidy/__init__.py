"""House rules that a machine can check: who imports whom, what stays pure, how large things may grow."""
