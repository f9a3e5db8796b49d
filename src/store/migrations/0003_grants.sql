-- What the serving role may do: no more than serving needs. The history can be added to and never changed, a payment's
-- amount and owner never change, and nothing is deleted. migrate, keys, prune and verify run as the schema's owner.
-- The role is made where the database is made (tf/modules/database/roles.sql); where there is none, as in development,
-- there is nothing to grant. Only a table's owner needs to run this, no superuser.
DO $grants$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'payflow_app') THEN
        RETURN;
    END IF;
    GRANT SELECT ON payments, idempotency_keys, events, refunds, feed_epoch, accounts, api_keys, schema_migrations
        TO payflow_app;
    GRANT INSERT ON payments, idempotency_keys, events, refunds TO payflow_app;
    GRANT UPDATE (status, captured_minor, refunded_minor) ON payments TO payflow_app;
END
$grants$;
