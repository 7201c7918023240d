-- The ledger: one posting a payment, balanced by its shape, written by a function alone.
CREATE SCHEMA ledger;

-- The newest epoch of the right to write that this database has seen: one row. Older epochs write no more.
CREATE TABLE ledger.fence (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL
);
INSERT INTO ledger.fence (epoch) VALUES (0);

-- A posting moves an amount (minor units of the currency) from the payer to the payee. Both of its entries are read
-- from this one row, so no write by anybody can leave one without the other, or make them differ.
CREATE TABLE ledger.postings (
    payment_id text COLLATE "C" PRIMARY KEY CHECK (payment_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- the order of posting; repeats and failures leave gaps
    payer text COLLATE "C" NOT NULL CHECK (length(payer) BETWEEN 1 AND 64),
    payee text COLLATE "C" NOT NULL CHECK (length(payee) BETWEEN 1 AND 64),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    fingerprint text COLLATE "C" NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL, -- when the payment was registered
    epoch bigint NOT NULL, -- of the right under which it was posted
    CHECK (payer <> payee)
);

-- The double entries: what an account gives is negative, what it gets is positive.
CREATE VIEW ledger.entries AS
    SELECT payment_id, seq, payer AS account, -amount AS amount, currency FROM ledger.postings
    UNION ALL
    SELECT payment_id, seq, payee, amount, currency FROM ledger.postings;

-- Posts a payment unless it is posted. SQLSTATE TS001: a newer epoch has written here. TS002: the id belongs to another
-- request.
CREATE FUNCTION ledger.post_payment(
    payment_id text, payer text, payee text, amount bigint, currency text, fingerprint text, created_at timestamptz,
    epoch bigint
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
#variable_conflict use_column
BEGIN
    -- The lock holds newer epochs back until this posting is decided. The update comes first, and locks nothing when
    -- there is nothing to raise: of two writers who shared the lock, neither could raise the epoch.
    UPDATE fence SET epoch = $8 WHERE epoch < $8;
    PERFORM FROM fence WHERE epoch = $8 FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'stale epoch' USING ERRCODE = 'TS001';
    END IF;
    INSERT INTO postings (payment_id, payer, payee, amount, currency, fingerprint, created_at, epoch)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (payment_id) DO NOTHING;
    IF NOT FOUND THEN
        PERFORM FROM postings WHERE payment_id = $1 AND fingerprint = $6;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the payment id belongs to another request' USING ERRCODE = 'TS002';
        END IF;
    END IF;
END $$;

-- The function posts and reads; it writes no table itself.
REVOKE ALL ON FUNCTION ledger.post_payment FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO payments_app;
GRANT EXECUTE ON FUNCTION ledger.post_payment TO payments_app;
GRANT SELECT ON ledger.fence, ledger.postings, ledger.entries TO payments_app;
