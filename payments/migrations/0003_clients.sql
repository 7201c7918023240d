-- The payments of a client are posted under its name, a dot and its id; those of the default client under the id alone.
ALTER TABLE ledger.postings
    DROP CONSTRAINT postings_payment_id_check,
    ADD CONSTRAINT postings_payment_id_check CHECK (payment_id ~ '^([a-z][a-z0-9]{0,19}\.)?[A-Za-z0-9_-]{1,64}$');
