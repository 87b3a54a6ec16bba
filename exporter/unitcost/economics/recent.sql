-- reads: settings_day, told_day, derived_day, tenant_day, and of this run: clock, source, present
-- writes: former_day, current_day (all others), complete_day, recent_cost (what each tenant cost on these days and on
--         all days of this month)

-- Days that a source told under settings of before (another tenant key, say) and has forgotten since: their costs count,
-- but they do not say what the settings of today would make of them.
CREATE OR REPLACE TEMP TABLE former_day AS
SELECT DISTINCT k.source, k.says, k.day
FROM settings_day k JOIN present p USING (source)
WHERE k.settings <> p.settings AND k.day >= (SELECT first_day FROM clock);

CREATE OR REPLACE TEMP TABLE current_day AS SELECT source, says, day FROM told_day EXCEPT FROM former_day;

-- Days that are over and that every required cost source knows; number 1 is the newest. Kept are those of this month
-- and the last 28: what a forecast is made of. Without a required cost source no day is complete.
CREATE OR REPLACE TEMP TABLE complete_day AS
WITH
needed AS (SELECT source FROM source WHERE required AND told_kind(kind) = 'cost'),
known AS (
    SELECT k.day FROM current_day k
    JOIN needed USING (source) JOIN derived_day USING (day)
    WHERE k.says = 'cost' AND k.day < (SELECT today FROM clock)
    GROUP BY k.day HAVING count(DISTINCT source) = (SELECT count(*) FROM needed)
)
SELECT k.day, k.day >= c.month_first AS this_month, row_number() OVER (ORDER BY k.day DESC) AS number
FROM known k CROSS JOIN clock c
QUALIFY this_month OR number <= 28;

CREATE OR REPLACE TEMP TABLE recent_cost AS
SELECT t.tenant, t.day, CAST(sum(t.direct + t.shared) AS DECIMAL(38, 12)) AS cost
FROM tenant_day t CROSS JOIN clock c
WHERE t.day BETWEEN c.month_first AND c.month_last OR t.day IN (SELECT day FROM complete_day)
GROUP BY ALL;
