-- reads: staged_cost (costs as they were handed over, some of them of all days from day to last_day)
-- writes: cost, by day: each day has an even part of what is of several, to the last digit, added to what is alike

-- Once, as they are stored: whatever reads costs, or compares them with what was stored before, has them by day.
CREATE OR REPLACE TEMP MACRO even_part(amount, days) AS dollars(units(amount) // days);
CREATE OR REPLACE TEMP MACRO left_over(amount, days) AS dollars(units(amount) % days);

-- Only what an even division leaves over needs to be apportioned, and of that there are no more amounts than days.
CREATE OR REPLACE TEMP TABLE long_pool AS
SELECT row_number() OVER () AS pool, days, amount FROM (
    SELECT DISTINCT days, left_over(number, days) AS amount
    FROM (
        SELECT last_day - day + 1 AS days, unnest([amount, list_amount, quantity]) AS number
        FROM staged_cost WHERE last_day > day
    )
    WHERE number IS NOT NULL
);
CREATE OR REPLACE TEMP TABLE long_weight AS
SELECT pool, unnest(range(days)) AS recipient, 1::HUGEINT AS weight FROM long_pool;
CREATE OR REPLACE TEMP TABLE long_part AS
SELECT p.days, p.amount AS whole, CAST(n.recipient AS INTEGER) AS nth, n.amount
FROM apportioned('long_pool', 'long_weight') n JOIN long_pool p USING (pool);

INSERT INTO cost BY NAME
WITH
long AS (
    SELECT
        * EXCLUDE (last_day) REPLACE (
            even_part(amount, days) AS amount, even_part(list_amount, days) AS list_amount,
            even_part(quantity, days) AS quantity
        ),
        left_over(amount, days) AS amount_left, left_over(list_amount, days) AS list_left,
        left_over(quantity, days) AS quantity_left
    FROM (SELECT *, last_day - day + 1 AS days FROM staged_cost WHERE last_day > day)
),
daily AS (
    SELECT * EXCLUDE (last_day) FROM staged_cost WHERE (last_day > day) IS NOT true
    UNION ALL BY NAME
    SELECT l.* EXCLUDE (days, amount_left, list_left, quantity_left) REPLACE (
            l.day + a.nth AS day, l.amount + a.amount AS amount, l.list_amount + p.amount AS list_amount,
            l.quantity + q.amount AS quantity
        )
    FROM long l
    JOIN long_part a ON a.days = l.days AND a.whole = l.amount_left
    LEFT JOIN long_part p ON p.days = l.days AND p.nth = a.nth AND p.whole = l.list_left
    LEFT JOIN long_part q ON q.days = l.days AND q.nth = a.nth AND q.whole = l.quantity_left
)
SELECT * REPLACE (
        CAST(sum(amount) AS DECIMAL(38, 12)) AS amount, known_sum(list_amount) AS list_amount,
        known_sum(quantity) AS quantity
    )
FROM daily GROUP BY ALL;
