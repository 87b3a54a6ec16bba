-- reads: the tables of a ledger of schema 3
-- writes: the same in those of schema 4: usage of nobody, by unit and scope

ALTER TABLE usage ALTER COLUMN tenant DROP NOT NULL;
ALTER TABLE usage ADD COLUMN unit VARCHAR;
ALTER TABLE usage ADD COLUMN scope VARCHAR;
DROP TABLE IF EXISTS reconciled_day;
DELETE FROM meta WHERE key IN ('model', 'counted');
UPDATE meta SET value = '4' WHERE key = 'schema';
