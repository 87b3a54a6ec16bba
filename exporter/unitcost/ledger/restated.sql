-- reads: stood_day (of this run: what each day amounted to before it was derived again, since when that stood, the
--        first day that is not closed yet, and now), counted_day, derived_day
-- writes: restated_day

-- Only a source's own figure, changed, is a restatement: a source that speaks of a day for the first time adds to it. What
-- stood less than a day (a first load that comes in pieces) was no statement yet.
INSERT INTO restated_day
SELECT b.day, sum(b.amount), any_value(b.now)
FROM (SELECT day, source, stood_since, first_open, now, sum(amount) AS amount FROM stood_day GROUP BY ALL) b
SEMI JOIN derived_day USING (day)
LEFT JOIN (SELECT day, source, sum(amount) AS amount FROM counted_day GROUP BY ALL) a USING (day, source)
WHERE b.day < b.first_open
    AND (b.stood_since IS NULL OR b.stood_since <= b.now - INTERVAL 1 DAY OR b.day IN (SELECT day FROM restated_day))
GROUP BY b.day
HAVING bool_or(b.amount <> coalesce(a.amount, 0))
ON CONFLICT (day) DO UPDATE SET restated_at = excluded.restated_at;
