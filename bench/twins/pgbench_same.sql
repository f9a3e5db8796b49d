\set amount random(1, 100000)
\set key random(1, 9000000000000000000)
WITH made AS (
    SELECT 'pgb_' || to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint) || to_hex(:key::bigint) AS id
), claimed AS (
    INSERT INTO idempotency_keys (account_id, livemode, operation, target, key, fingerprint, object_id)
    SELECT 1, false, 1, '', id, sha256(id::bytea), id FROM made ON CONFLICT DO NOTHING RETURNING object_id
), created AS (
    INSERT INTO payments (account_id, livemode, status, amount_minor, created_at, id, currency)
    SELECT 1, false, 1, :amount, now(), object_id, 'EUR' FROM claimed RETURNING id
)
INSERT INTO events (created_at, epoch, account_id, n, step, status, livemode, amount_minor, captured_minor, refunded_minor,
    payment_id, actor, request_id)
SELECT now(), 1, 1, 1, 1, 1, false, :amount, 0, 0, id, 'none', 'none' FROM created;
