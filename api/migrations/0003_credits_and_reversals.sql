-- ledger.credit: money comes in from outside (a purchase, a reward). The issuance account goes below zero by
-- what there is in circulation. Once per key of the user, and once per reference, whichever repeats first.
-- Arguments: time, shard, id, user, key, fingerprint, currency, amount, reason, reference.
-- Result: outcome accepted | replayed | mismatch, the transaction, its amount, the balance after it.
CREATE FUNCTION ledger.credit(
    at_ms bigint, shard smallint, id uuid, user_id text, key text, fingerprint bytea, currency text,
    amount bigint, reason text, reference text
) RETURNS TABLE (outcome text, transaction_id uuid, amount_credited bigint, balance bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    issuance CONSTANT bigint := ledger.system_account('issuance', currency, shard);
    account bigint;
    before record;
    known record;
BEGIN
    INSERT INTO ledger.accounts (kind, owner_id, currency) VALUES ('user', user_id, currency)
    ON CONFLICT DO NOTHING;
    SELECT a.account_id INTO account FROM ledger.accounts AS a
    WHERE a.owner_id = user_id AND a.currency = credit.currency AND a.kind = 'user' AND a.shard = 0;
    PERFORM FROM ledger.accounts AS a WHERE a.account_id IN (account, issuance)
    ORDER BY a.account_id FOR NO KEY UPDATE;

    SELECT t.transaction_id, t.fingerprint, t.amount INTO known FROM ledger.transactions AS t
    WHERE t.owner_id = user_id AND t.idempotency_key = key AND t.kind = 'credit';
    IF NOT FOUND THEN
        -- Another user's credit may be booking the same reference at this moment: wait for it.
        PERFORM pg_advisory_xact_lock(hashtextextended(reference, 0));
        SELECT t.transaction_id, t.fingerprint, t.amount INTO known FROM ledger.transactions AS t
        WHERE t.reference = credit.reference;
    END IF;
    IF FOUND THEN
        RETURN QUERY
        SELECT CASE WHEN known.fingerprint = fingerprint THEN 'replayed' ELSE 'mismatch' END,
            known.transaction_id, known.amount,
            (SELECT e.balance_after FROM ledger.entries AS e
                WHERE e.transaction_id = known.transaction_id AND e.account_id = account
                    AND e.account_id >= 1000);
        RETURN;
    END IF;

    INSERT INTO ledger.transactions (transaction_id, kind, owner_id, idempotency_key, fingerprint, at_ms, amount,
        currency, reason, reference)
    VALUES (id, 'credit', user_id, key, fingerprint, at_ms, amount, currency, reason, reference);
    INSERT INTO ledger.outbox (transaction_id, at_ms) VALUES (id, at_ms);
    PERFORM ledger.post(id, ARRAY[issuance, account], ARRAY[-amount, amount]);
    RETURN QUERY SELECT 'accepted', id, amount, a.balance FROM ledger.accounts AS a WHERE a.account_id = account;
END $$;

-- Moves locked accounts, one entry for each, in order.
CREATE FUNCTION ledger.post(id uuid, moved_accounts bigint[], amounts bigint[]) RETURNS void
LANGUAGE sql AS $$
    WITH changed AS (
        UPDATE ledger.accounts AS a
        SET balance = a.balance + m.amount, version = a.version + 1
        FROM unnest(moved_accounts, amounts) AS m (account, amount)
        WHERE a.account_id = m.account AND m.amount <> 0
        RETURNING a.account_id, a.version, a.balance, m.amount
    )
    INSERT INTO ledger.entries (transaction_id, account_id, version, amount, balance_before, balance_after)
    SELECT id, account_id, version, amount, balance - amount, balance FROM changed
$$;

-- ledger.reverse: a compensating transaction. What was received is taken back, what was paid is given back,
-- experience and totals likewise. It is refused when a party has spent what it received: a balance never goes
-- below zero, and who bears that loss is not for a ledger to decide.
-- Arguments: time, shard, id of the reversal, transaction, reason.
-- Result: outcome accepted | replayed | missing | final (a reversal) | insufficient, the reversal.
CREATE FUNCTION ledger.reverse(at_ms bigint, shard smallint, id uuid, reversed uuid, reason text)
RETURNS TABLE (outcome text, transaction_id uuid)
LANGUAGE plpgsql
-- Plans may be made on small tables and must be right on large ones.
SET enable_seqscan = 'off'
AS $$
#variable_conflict use_column
DECLARE
    original ledger.transactions;
    known uuid;
BEGIN
    SELECT * INTO original FROM ledger.transactions AS t WHERE t.transaction_id = reversed FOR UPDATE;
    IF NOT FOUND OR original.kind = 'reversal' THEN
        RETURN QUERY SELECT CASE WHEN original.kind = 'reversal' THEN 'final' ELSE 'missing' END, NULL::uuid;
        RETURN;
    END IF;
    SELECT t.transaction_id INTO known FROM ledger.transactions AS t WHERE t.reversal_of = reversed;
    IF FOUND THEN
        RETURN QUERY SELECT 'replayed', known;
        RETURN;
    END IF;

    PERFORM FROM ledger.accounts AS a
    WHERE a.account_id = ANY (
        ARRAY(SELECT e.account_id FROM ledger.entries AS e
            WHERE e.transaction_id = reversed AND e.account_id >= 1000)
        || ARRAY[ledger.system_account('platform', 'coins', shard),
            ledger.system_account('platform', 'diamonds', shard),
            ledger.system_account('issuance', 'coins', shard),
            ledger.system_account('issuance', 'diamonds', shard)])
    ORDER BY a.account_id FOR NO KEY UPDATE;
    IF EXISTS (
        SELECT FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.account_id = e.account_id
        WHERE e.transaction_id = reversed AND e.account_id >= 1000
        GROUP BY a.account_id HAVING a.balance < sum(e.amount)
    ) THEN
        RETURN QUERY SELECT 'insufficient', NULL::uuid;
        RETURN;
    END IF;

    INSERT INTO ledger.transactions (transaction_id, kind, owner_id, idempotency_key, fingerprint, at_ms, amount,
        reason, reversal_of)
    VALUES (id, 'reversal', original.owner_id, 'reversal-of-' || reversed, original.fingerprint, at_ms,
        original.amount, reason, reversed);
    INSERT INTO ledger.outbox (transaction_id, at_ms) VALUES (id, at_ms);
    IF original.kind = 'gift' THEN
        PERFORM ledger.unearn(original);
    END IF;
    PERFORM ledger.post(id, array_agg(r.account), array_agg(r.amount))
    FROM ledger.reversed_moves(original, shard) AS r;
    RETURN QUERY SELECT 'accepted', id;
END $$;

-- The moves that undo a transaction: those of users and agencies as they stand in the entries, those of the
-- system as what is missing to zero. Coins of a gift come back from the platform. Its diamonds go back: their
-- whole to issuance, the platform's part from the platform.
CREATE FUNCTION ledger.reversed_moves(original ledger.transactions, shard smallint)
RETURNS TABLE (account bigint, amount bigint)
LANGUAGE sql AS $$
    WITH parties AS (
        SELECT e.account_id, a.currency, -sum(e.amount)::bigint AS amount
        FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.account_id = e.account_id
        WHERE e.transaction_id = original.transaction_id AND e.account_id >= 1000
        GROUP BY e.account_id, a.currency
    ), sums AS (
        SELECT coalesce(sum(p.amount) FILTER (WHERE p.currency = 'coins'), 0)::bigint AS coins,
            coalesce(sum(p.amount) FILTER (WHERE p.currency = 'diamonds'), 0)::bigint AS diamonds
        FROM parties AS p
    )
    SELECT p.account_id, p.amount FROM parties AS p
    UNION ALL
    SELECT ledger.system_account('platform', 'coins', shard), -s.coins FROM sums AS s
    WHERE original.kind = 'gift'
    UNION ALL
    SELECT ledger.system_account('issuance', 'diamonds', shard), original.amount WHERE original.kind = 'gift'
    UNION ALL
    SELECT ledger.system_account('platform', 'diamonds', shard), -original.amount - s.diamonds FROM sums AS s
    WHERE original.kind = 'gift' AND original.amount + s.diamonds <> 0
    UNION ALL
    SELECT ledger.system_account('issuance', original.currency, shard), -(s.coins + s.diamonds) FROM sums AS s
    WHERE original.kind = 'credit'
$$;

-- Takes back what a gift counted for its parties.
CREATE FUNCTION ledger.unearn(original ledger.transactions) RETURNS void
LANGUAGE sql AS $$
    UPDATE ledger.accounts AS a
    SET experience = a.experience
            - CASE WHEN a.currency = 'coins' THEN original.wealth_xp WHEN a.kind = 'user' THEN original.charm_xp
                ELSE 0 END,
        gift_total = a.gift_total
            - CASE WHEN a.currency = 'coins' THEN original.amount
                ELSE original.amount / cardinality(original.recipients) * e.parts END
    FROM (
        SELECT p.account_id, count(*) AS parts FROM ledger.entries AS p
        WHERE p.transaction_id = original.transaction_id AND p.account_id >= 1000
        GROUP BY p.account_id
    ) AS e
    WHERE a.account_id = e.account_id
$$;
