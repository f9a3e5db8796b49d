-- What a next release might bring: room for something new, which the release before neither knows nor needs.
ALTER TABLE payments ADD COLUMN channel text;
