-- reads: nothing
-- writes: nothing; a macro of one connection, apportioned(pools, weights): the names of a table (pool, amount) and of one
--         (pool, recipient, weight: a count of units, above zero) give (pool, recipient, amount), each pool split by
--         weight to the last digit (largest remainder)

-- u = |amount| in units, W = total weight: recipient i gets floor(u·w/W), and the units still missing go one each
-- to the largest remainders. u·w overflows, so u is taken apart first: u = (u div W)·W + rest. rest·w still overflows
-- from W = 1.3e19 on ($13 million, 13 million requests); there w is taken apart too, w = (w div 1e12)·1e12 + low, and
-- divided limb by limb, as on paper; with one limb more from rest = 1e24 on ($1e12). rest and w are below W, so that no
-- step reaches 2e12·W, which fits up to W = 8.5e25. Beyond that weights lose digits behind the 25th, which is less than
-- a last digit.
CREATE OR REPLACE TEMP MACRO apportioned(pools, weights) AS TABLE
WITH
sized AS (
    SELECT pool, CASE WHEN sum(weight) < 80000000000000000000000000::HUGEINT THEN 1::HUGEINT
        ELSE 1 + CAST(sum(weight) AS HUGEINT) // 80000000000000000000000000::HUGEINT END AS divisor
    FROM query_table(weights) GROUP BY pool
),
small AS (
    SELECT w.pool, w.recipient, CASE WHEN s.divisor = 1 THEN w.weight ELSE w.weight // s.divisor END AS w
    FROM query_table(weights) w JOIN sized s USING (pool)
),
total AS (SELECT pool, CAST(sum(w) AS HUGEINT) AS w_all FROM small GROUP BY pool HAVING sum(w) > 0),
scale AS (
    SELECT p.pool, p.amount < 0 AS negative, abs(units(p.amount)) AS u, t.w_all,
        abs(units(p.amount)) // t.w_all AS times, abs(units(p.amount)) % t.w_all AS rest
    FROM query_table(pools) p JOIN total t USING (pool)
),
limb AS (
    SELECT s.pool, s.recipient, c.u, c.negative, c.w_all, c.rest, c.times * s.w AS whole, s.w,
        c.w_all >= 13000000000000000000::HUGEINT AS wide, c.rest >= 1000000000000000000000000::HUGEINT AS wider,
        CASE
            WHEN NOT wide THEN 0::HUGEINT
            WHEN NOT wider THEN c.rest * (s.w // 1000000000000::HUGEINT)
            ELSE next_limb(
                c.rest * (s.w // 1000000000000000000000000::HUGEINT) % c.w_all,
                s.w // 1000000000000::HUGEINT % 1000000000000::HUGEINT, c.rest
            )
        END AS high,
        CASE WHEN wide THEN high // c.w_all ELSE 0::HUGEINT END AS high_fraction,
        CASE WHEN wider THEN c.rest * (s.w // 1000000000000000000000000::HUGEINT) // c.w_all ELSE 0::HUGEINT END AS top
    FROM small s JOIN scale c USING (pool)
),
part AS (
    SELECT pool, recipient, u, negative, w_all,
        whole + (top * 1000000000000::HUGEINT + high_fraction) * 1000000000000::HUGEINT AS whole,
        CASE
            WHEN wide THEN (high - high_fraction * w_all) * 1000000000000::HUGEINT + rest * (w % 1000000000000::HUGEINT)
            ELSE rest * w
        END AS product,
        product // w_all AS fraction
    FROM limb
),
based AS (
    SELECT pool, recipient, u, negative, whole + fraction AS base, product - fraction * w_all AS remainder FROM part
),
missing AS (SELECT pool, CAST(any_value(u) - sum(base) AS HUGEINT) AS count FROM based GROUP BY pool),
ranked AS (
    SELECT b.*, m.count, row_number() OVER (PARTITION BY b.pool ORDER BY b.remainder DESC, b.recipient) AS rank
    FROM based b JOIN missing m USING (pool)
)
SELECT
    pool, recipient,
    dollars((base + CASE WHEN rank <= count THEN 1 ELSE 0 END) * CASE WHEN negative THEN -1 ELSE 1 END) AS amount
FROM ranked;
