"""Money in Postgres: the statements, the port to the server, the group commit, and the check of the books."""
