-- The ledger: one posting a payment, balanced by its shape, and the marks of the canaries. Functions alone write it.
CREATE SCHEMA ledger;

-- The newest epoch of the leadership that this database has seen: one row. Older epochs write no more.
CREATE TABLE ledger.fence (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL
);
INSERT INTO ledger.fence (epoch) VALUES (0);

-- A posting moves an amount (minor units of the currency) from the payer to the payee. Both of its entries are read
-- from this one row, so no write by anybody can leave one without the other, or make them differ.
-- The payments of a client are posted under its name, a dot and its id; those of the default client under the id alone.
CREATE TABLE ledger.postings (
    payment_id text COLLATE "C" PRIMARY KEY CHECK (payment_id ~ '^([a-z][a-z0-9]{0,19}\.)?[A-Za-z0-9_-]{1,64}$'),
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- the order of posting; repeats and failures leave gaps
    payer text COLLATE "C" NOT NULL CHECK (length(payer) BETWEEN 1 AND 64),
    payee text COLLATE "C" NOT NULL CHECK (length(payee) BETWEEN 1 AND 64),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    fingerprint text COLLATE "C" NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL, -- when the payment was registered
    epoch bigint NOT NULL, -- of the leadership under which it was posted
    CHECK (payer <> payee)
);

-- The double entries: what an account gives is negative, what it gets is positive.
CREATE VIEW ledger.entries AS
    SELECT payment_id, seq, payer AS account, -amount AS amount, currency FROM ledger.postings
    UNION ALL
    SELECT payment_id, seq, payee, amount, currency FROM ledger.postings;

-- The keys of the receipts end in .json, and S3 lists them in the order of their bytes: a-b.json comes before a.json.
CREATE INDEX postings_by_receipt ON ledger.postings ((payment_id || '.json'));

-- The number of each region's newest mark. A region that has a mark has all that was committed before it.
CREATE TABLE ledger.marks (
    region text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL,
    epoch bigint NOT NULL -- of the leadership under which it was set
);

-- Lets a write of an epoch go on unless a newer one has written here: SQLSTATE TS001. An epoch far ahead of the newest
-- one is refused, SQLSTATE TS003: who may post could otherwise raise the fence to the largest number there is, above
-- which no leader could ever lead. A takeover adds one or two.
CREATE FUNCTION ledger.pass_fence(epoch bigint) RETURNS void LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF $1 > (SELECT epoch FROM fence) + 1000000 THEN
        RAISE EXCEPTION 'the epoch is far ahead' USING ERRCODE = 'TS003';
    END IF;
    -- The lock holds newer epochs back until this write is decided. The update comes first, and locks nothing when
    -- there is nothing to raise: of two writers who shared the lock, neither could raise the epoch.
    UPDATE fence SET epoch = $1 WHERE epoch < $1;
    PERFORM FROM fence WHERE epoch = $1 FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'stale epoch' USING ERRCODE = 'TS001';
    END IF;
END $$;

-- Posts a payment unless it is posted. Returns when it was created, as its posting says, which `corrects` replaces.
-- SQLSTATE TS001: a newer epoch has written here. TS002: the id belongs to another request.
CREATE FUNCTION ledger.post_payment(
    payment_id text, payer text, payee text, amount bigint, currency text, fingerprint text, created_at timestamptz,
    epoch bigint, corrects boolean
) RETURNS timestamptz LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
#variable_conflict use_column
DECLARE
    registered timestamptz;
BEGIN
    PERFORM pass_fence($8);
    INSERT INTO postings AS kept (payment_id, payer, payee, amount, currency, fingerprint, created_at, epoch)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (payment_id) DO UPDATE
            SET created_at = CASE WHEN $9 THEN $7 ELSE kept.created_at END WHERE kept.fingerprint = $6
        RETURNING created_at INTO registered;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the payment id belongs to another request' USING ERRCODE = 'TS002';
    END IF;
    RETURN registered;
END $$;

-- Sets a region's next mark, under the same condition as a posting. Returns its number.
CREATE FUNCTION ledger.post_mark(region text, epoch bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
#variable_conflict use_column
DECLARE
    newest bigint;
BEGIN
    PERFORM pass_fence($2);
    INSERT INTO marks AS kept (region, number, epoch) VALUES ($1, 1, $2)
        ON CONFLICT (region) DO UPDATE SET number = kept.number + 1, epoch = $2 RETURNING number INTO newest;
    RETURN newest;
END $$;

-- The payments function posts and reads; it writes no table itself.
REVOKE ALL ON FUNCTION ledger.pass_fence, ledger.post_payment, ledger.post_mark FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO payments_app;
GRANT EXECUTE ON FUNCTION ledger.post_payment, ledger.post_mark TO payments_app;
GRANT SELECT ON ledger.fence, ledger.postings, ledger.entries, ledger.marks TO payments_app;
