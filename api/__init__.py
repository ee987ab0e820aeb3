"""REST and money: tokens, rooms, gifts, wallets and boards; the ledger in SQL and the relay of its outbox.

Imports `state` only.
"""
