\set amount random(1, 100000)
\set key random(1, 9000000000000000000)
INSERT INTO payments (account_id, livemode, status, amount_minor, created_at, id, currency)
VALUES (1, false, 1, :amount, now(), 'pgb_' || to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint) || to_hex(:key::bigint), 'EUR');
