"""Random and hostile inputs for everything that parses what strangers send.

A target makes inputs from a seed and checks one at a time; what it checks must hold for every input. The same
targets run bounded in the tests and at any size by `python -m tests.fuzz --inputs N`.
"""
