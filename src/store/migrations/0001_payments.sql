-- The payment, the keys that make its writes idempotent, and its history.

CREATE TABLE payments (
    account_id     integer     NOT NULL,
    livemode       boolean     NOT NULL,
    status         smallint    NOT NULL, -- enum payment_status in src/core/payment.h
    amount_minor   bigint      NOT NULL, -- minor units of the currency
    captured_minor bigint      NOT NULL DEFAULT 0,
    refunded_minor bigint      NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL, -- always the time inside the id
    id             text        COLLATE "C" NOT NULL,
    currency       text        COLLATE "C" NOT NULL,
    description    text,
    reference      text,
    metadata       json,
    -- Every look-up is an account's own, so one index serves them all; ids start with their time, so it grows at its end.
    PRIMARY KEY (account_id, livemode, id),
    CONSTRAINT payments_amount CHECK (amount_minor BETWEEN 1 AND 999999999999999),
    CONSTRAINT payments_captured CHECK (captured_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT payments_refunded CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    CONSTRAINT payments_currency CHECK (length(currency) = 3),
    CONSTRAINT payments_status CHECK (
        CASE status
            WHEN 1 THEN captured_minor = 0
            WHEN 2 THEN captured_minor > 0 AND refunded_minor = 0
            WHEN 3 THEN refunded_minor > 0 AND refunded_minor < captured_minor
            WHEN 4 THEN refunded_minor > 0 AND refunded_minor = captured_minor
            WHEN 5 THEN captured_minor = 0
            WHEN 6 THEN captured_minor = 0
            ELSE false
        END)
) WITH (fillfactor = 90); -- room for a step's new row version on the same page

COMMENT ON TABLE payments IS 'One row a payment. No foreign key to accounts: its check would cost a row lock a payment; payflow verify does it.';

CREATE TABLE idempotency_keys (
    created_at  timestamptz NOT NULL DEFAULT now(),
    account_id  integer     NOT NULL,
    livemode    boolean     NOT NULL,
    operation   smallint    NOT NULL, -- enum payment_step in src/core/payment.h
    target      text        COLLATE "C" NOT NULL, -- the payment that the route names, '' for a new one
    key         text        COLLATE "C" NOT NULL,
    object_id   text        COLLATE "C" NOT NULL, -- what the first request made
    fingerprint bytea       NOT NULL, -- SHA-256 of the first request
    PRIMARY KEY (account_id, livemode, operation, target, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

-- The feed's order is (epoch, xid, seq). Transaction ids begin again in a cluster that was restored from a dump: then the
-- epoch is raised, and older events keep their place.
CREATE TABLE feed_epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    integer NOT NULL DEFAULT 1
);
INSERT INTO feed_epoch DEFAULT VALUES;

CREATE TABLE events (
    xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
    seq            bigint      GENERATED ALWAYS AS IDENTITY (CACHE 100),
    created_at     timestamptz NOT NULL,
    epoch          integer     NOT NULL,
    account_id     integer     NOT NULL,
    n              integer     NOT NULL, -- 1, 2, 3 … within the payment, without gaps
    step           smallint    NOT NULL, -- enum payment_step
    status         smallint    NOT NULL, -- after the step
    livemode       boolean     NOT NULL,
    amount_minor   bigint      NOT NULL, -- of the step
    captured_minor bigint      NOT NULL, -- after the step
    refunded_minor bigint      NOT NULL, -- after the step
    payment_id     text        COLLATE "C" NOT NULL,
    object_id      text        COLLATE "C", -- the refund, where the step made one
    actor          text        NOT NULL,
    request_id     text        NOT NULL,
    PRIMARY KEY (payment_id, n),
    CONSTRAINT events_n CHECK (n >= 1)
);
CREATE UNIQUE INDEX events_feed ON events (account_id, livemode, epoch, xid, seq);
