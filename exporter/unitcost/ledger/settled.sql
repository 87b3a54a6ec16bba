-- reads: counted_day, derived_day, told_day, and of this run: settling
-- writes: settled_month

-- A day that is known by now and was not counted yet, nor found to cost nothing, has only just come.
INSERT OR IGNORE INTO settled_month
WITH
counted AS (
    SELECT source, day, date_trunc('month', day)::DATE AS month, sum(amount) AS amount FROM counted_day GROUP BY ALL
),
stood AS (
    SELECT DISTINCT k.source, k.day, date_trunc('month', k.day)::DATE AS month
    FROM told_day k LEFT JOIN counted c USING (source, day) LEFT JOIN derived_day d ON d.day = k.day
    WHERE k.says = 'cost' AND (c.day IS NOT NULL OR d.day IS NOT NULL)
),
whole AS (SELECT source, month FROM stood GROUP BY ALL HAVING count(*) = day(last_day(month)))
SELECT c.month, c.source, CAST(sum(c.amount) AS DECIMAL(38, 12))
FROM counted c JOIN whole USING (source, month) CROSS JOIN settling s
WHERE last_day(c.month) + 6 <= s.today
GROUP BY ALL;
