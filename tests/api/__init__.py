"""Tests of the API and the ledger."""
