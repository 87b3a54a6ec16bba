-- reads: batch, cost, usage, resource, known_day, and of this run: pruned_before (the first day that is kept, and
--        how many batches go at once)
-- writes: all tables, without the batches of which every day is older, and what was derived of older days

-- A batch that makes no day known (a bill of fees only) stays: its source would only tell it again.
CREATE OR REPLACE TEMP TABLE old_batch AS
WITH newest AS (
    SELECT source, batch, max(day) AS day FROM (
        SELECT source, batch, day FROM known_day
        UNION ALL SELECT source, batch, day FROM cost
        UNION ALL SELECT source, batch, day FROM usage
        UNION ALL SELECT source, batch, day FROM resource
    ) SEMI JOIN known_day USING (source, batch) GROUP BY ALL
)
SELECT b.source, b.key AS batch
FROM batch b LEFT JOIN newest n ON n.source = b.source AND n.batch = b.key
WHERE CASE WHEN b.empty THEN b.loaded_at::DATE ELSE n.day END < (SELECT day FROM pruned_before)
ORDER BY n.day, b.source, b.key LIMIT (SELECT batches FROM pruned_before);

DELETE FROM cost USING old_batch o WHERE cost.source = o.source AND cost.batch = o.batch;
DELETE FROM usage USING old_batch o WHERE usage.source = o.source AND usage.batch = o.batch;
DELETE FROM revenue USING old_batch o WHERE revenue.source = o.source AND revenue.batch = o.batch;
DELETE FROM resource USING old_batch o WHERE resource.source = o.source AND resource.batch = o.batch;
DELETE FROM known_day USING old_batch o WHERE known_day.source = o.source AND known_day.batch = o.batch;
DELETE FROM batch USING old_batch o WHERE batch.source = o.source AND batch.key = o.batch;

DELETE FROM derived_day WHERE day < (SELECT day FROM pruned_before);
DELETE FROM changed_day WHERE day < (SELECT day FROM pruned_before);
DELETE FROM restated_day WHERE day < (SELECT day FROM pruned_before);
DELETE FROM line WHERE day < (SELECT day FROM pruned_before);
DELETE FROM billed_day WHERE day < (SELECT day FROM pruned_before);
DELETE FROM scoped_day WHERE day < (SELECT day FROM pruned_before);
DELETE FROM machine_day WHERE day < (SELECT day FROM pruned_before);
