-- reads: the tables of a ledger of schema 2
-- writes: the same in those of schema 3: changed_day with the revision of each change

-- A ledger that was written before this table was thought of has none.
CREATE TABLE IF NOT EXISTS changed_day (day DATE PRIMARY KEY, changed_at TIMESTAMPTZ NOT NULL, known BOOLEAN NOT NULL);
ALTER TABLE changed_day ADD COLUMN revision BIGINT;
UPDATE changed_day SET revision = epoch(changed_at) // 100;
UPDATE meta SET value = '3' WHERE key = 'schema';
