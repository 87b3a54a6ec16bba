-- reads: the tables of a ledger of schema 1
-- writes: the same facts in those of schema 2, into which schema.sql goes on; what was derived is derived again

-- A version before this column was thought of wrote the oldest of them.
ALTER TABLE cost ADD COLUMN IF NOT EXISTS charge VARCHAR DEFAULT 'usage';

CREATE TABLE dimension_set (id INTEGER PRIMARY KEY, dimensions MAP(VARCHAR, VARCHAR) NOT NULL);
INSERT INTO dimension_set VALUES (0, MAP {});
INSERT INTO dimension_set
SELECT row_number() OVER (ORDER BY dimensions::VARCHAR), dimensions
FROM (SELECT DISTINCT dimensions FROM cost WHERE cardinality(dimensions) > 0);

-- What it held of a source says what its days are known for; of one that held no row at all, costs.
CREATE TABLE known_day_2 AS
WITH said AS (
    SELECT DISTINCT source, 'cost' AS says FROM cost
    UNION SELECT DISTINCT source, 'usage' FROM usage
    UNION SELECT DISTINCT source, 'revenue' FROM revenue
)
SELECT k.source, k.batch, coalesce(s.says, 'cost') AS says, k.day FROM known_day k LEFT JOIN said s USING (source);
DROP TABLE known_day;
ALTER TABLE known_day_2 RENAME TO known_day;

-- The component that a bill's cost had is its category now; which cluster it was matched to stays with it.
CREATE TABLE cost_2 AS
SELECT c.source, c.batch, c.day, c.tenant, c.service, c.component AS category, c.amount, c.currency,
    'k8s/' || c.cluster AS scope, coalesce(d.id, 0) AS dims, coalesce(c.charge, 'usage') AS charge,
    NULL::VARCHAR AS resource, NULL::VARCHAR AS item, NULL::VARCHAR AS unit,
    NULL::DECIMAL(38, 12) AS quantity, NULL::DECIMAL(38, 12) AS list_amount
FROM cost c LEFT JOIN dimension_set d ON d.dimensions = c.dimensions;
DROP TABLE cost;
ALTER TABLE cost_2 RENAME TO cost;

ALTER TABLE usage ADD COLUMN item VARCHAR;
ALTER TABLE usage ADD COLUMN dims INTEGER DEFAULT 0;

CREATE TABLE resource AS
SELECT source, batch, day, provider_id, 'k8s/' || cluster AS scope, 'node' AS kind FROM node;
DROP TABLE node;

-- The fingerprints of days began with what they cover: "720m+nodes:" of OpenCost, "2026-11-19T12:00 " of Prometheus.
CREATE TABLE batch_2 AS
SELECT source, key, fingerprint, settings, empty, loaded_at, rows,
    CASE
        WHEN regexp_matches(fingerprint, '^\d+m(\+nodes)?:')
            THEN TRY_CAST(key AS DATE) + to_minutes(TRY_CAST(regexp_extract(fingerprint, '^(\d+)m', 1) AS BIGINT))
        WHEN regexp_matches(fingerprint, '^\d{4}-\d\d-\d\dT\d\d:\d\d [0-9a-f]{64}$')
            THEN TRY_CAST(left(fingerprint, 16) AS TIMESTAMP)
    END::TIMESTAMPTZ AS until,
    CASE WHEN regexp_matches(fingerprint, '^\d+m:') THEN 'resources' ELSE '' END AS lacks
FROM batch;
DROP TABLE batch;
ALTER TABLE batch_2 RENAME TO batch;

DROP TABLE IF EXISTS billed_range;
DROP TABLE IF EXISTS billed_day;
DROP TABLE IF EXISTS reconciled_day;
DELETE FROM meta WHERE key IN ('model', 'counted');
UPDATE meta SET value = '2' WHERE key = 'schema';
