-- An epoch far ahead of the newest one is refused, SQLSTATE TS003: who may post could otherwise raise the fence to the
-- largest number there is, above which no leader could ever lead. A takeover adds one or two.
CREATE OR REPLACE FUNCTION ledger.pass_fence(epoch bigint) RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
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
