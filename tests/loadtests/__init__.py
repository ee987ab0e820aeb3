"""Tests of the load tools, against a double of the contract and against the real node."""
