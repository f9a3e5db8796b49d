WITH claimed AS (
    INSERT INTO idempotency_keys (account_id, livemode, operation, target, key, fingerprint, object_id)
    VALUES (1, false, 1, '', $5, $6, $1) ON CONFLICT DO NOTHING RETURNING object_id
), created AS (
    INSERT INTO payments (account_id, livemode, status, amount_minor, created_at, id, currency)
    SELECT 1, false, 1, $2::bigint, $4::timestamptz, object_id, $3 FROM claimed RETURNING id
), logged AS (
    INSERT INTO events (created_at, epoch, account_id, n, step, status, livemode, amount_minor, captured_minor,
        refunded_minor, payment_id, actor, request_id)
    SELECT $4::timestamptz, 1, 1, 1, 1, 1, false, $2::bigint, 0, 0, id, 'none', 'none' FROM created
)
SELECT id FROM created
