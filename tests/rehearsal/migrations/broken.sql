-- What must never reach production: it fails in the middle.
ALTER TABLE payments ADD COLUMN channel text;
ALTER TABLE payments ADD CONSTRAINT payments_channel CHECK (channels <> '');
