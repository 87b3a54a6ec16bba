-- reads: batch, cost, known_day, and of this run: cut_at (now, today)
-- writes: cost, usage, revenue, resource, known_day, batch, source_state and derived_day, without what was stored after now
--         of today and of later days; restated_day, without what was restated after now

CREATE OR REPLACE TEMP TABLE later AS
SELECT source, key AS batch FROM batch WHERE NOT empty AND loaded_at > (SELECT now FROM cut_at);

-- Batches that lose something; their sources are asked for them again.
CREATE OR REPLACE TEMP TABLE cut AS
SELECT DISTINCT source, batch FROM (
    SELECT source, batch, day FROM known_day UNION ALL SELECT source, batch, day FROM cost
) JOIN later USING (source, batch) WHERE day >= (SELECT today FROM cut_at);

DELETE FROM cost USING cut c WHERE cost.source = c.source AND cost.batch = c.batch AND day >= (SELECT today FROM cut_at);
DELETE FROM usage USING cut c WHERE usage.source = c.source AND usage.batch = c.batch AND day >= (SELECT today FROM cut_at);
DELETE FROM resource USING cut c WHERE resource.source = c.source AND resource.batch = c.batch AND day >= (SELECT today FROM cut_at);
DELETE FROM known_day USING cut c
WHERE known_day.source = c.source AND known_day.batch = c.batch AND day >= (SELECT today FROM cut_at);
UPDATE batch SET fingerprint = '' FROM cut c WHERE batch.source = c.source AND batch.key = c.batch;
DELETE FROM batch WHERE (source, key) IN (SELECT (source, batch) FROM cut) AND NOT EXISTS (
    SELECT 1 FROM known_day k WHERE k.source = batch.source AND k.batch = batch.key
);
DELETE FROM revenue WHERE NOT EXISTS (SELECT 1 FROM batch b WHERE b.source = revenue.source AND b.key = revenue.batch);
DELETE FROM source_state WHERE last_success > (SELECT now FROM cut_at);
DELETE FROM derived_day WHERE day >= (SELECT today FROM cut_at);
DELETE FROM restated_day WHERE restated_at > (SELECT now FROM cut_at);
