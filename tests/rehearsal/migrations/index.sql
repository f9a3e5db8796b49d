-- no-transaction: payments_newest
-- What a table in use needs for an index: it is made while writers go on. Whatever stops it may leave an invalid one behind.
CREATE INDEX CONCURRENTLY IF NOT EXISTS payments_newest ON payments (created_at);
