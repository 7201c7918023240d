-- Repeats keep the creation time; marks of the canaries; reading in the order of the receipts' keys.

-- The keys of the receipts end in .json, and S3 lists them in the order of their bytes: a-b.json comes before a.json.
CREATE INDEX postings_by_receipt ON ledger.postings ((payment_id || '.json'));

-- The number of each region's newest mark. A region that has a mark has all that was committed before it.
CREATE TABLE ledger.marks (
    region text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL,
    epoch bigint NOT NULL -- of the right under which it was set
);

-- Lets a write of an epoch go on unless a newer one has written here: SQLSTATE TS001.
CREATE FUNCTION ledger.pass_fence(epoch bigint) RETURNS void LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
#variable_conflict use_column
BEGIN
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
DROP FUNCTION ledger.post_payment;
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

REVOKE ALL ON FUNCTION ledger.pass_fence, ledger.post_payment, ledger.post_mark FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.post_payment, ledger.post_mark TO payments_app;
GRANT SELECT ON ledger.marks TO payments_app;
