-- The outbox is a queue: until its deleted rows are swept out, each look for the oldest passes all of them. The
-- server's own sweeper comes once a minute, which is thousands of rows too late.
VACUUM (SKIP_LOCKED, TRUNCATE false, INDEX_CLEANUP on) ledger.outbox
