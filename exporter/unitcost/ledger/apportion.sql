-- reads: nothing
-- writes: nothing; a macro of one connection, apportioned(pools, weights): the names of a table (pool, amount) and of one
--         (pool, recipient, weight: a count of units, above zero) give (pool, recipient, amount), each pool split by
--         weight to the last digit (largest remainder)

-- u = |amount| in units, W = total weight: recipient i gets floor(u·w/W), and the units still missing go one each
-- to the largest remainders. u·w overflows, so u is taken apart first: u = (u div W)·W + rest. rest·w still overflows
-- from W = 1.3e19 on ($13 million, 13 million requests); there w is taken apart too, w = (w div 2^40)·2^40 + low, and
-- divided limb by limb, as on paper; with one limb more from rest = 1e24 on ($1e12). rest and w are below W, so that no
-- step reaches 2^41·W, which fits up to W = 7.5e25. Beyond 5e25 weights lose digits behind the 25th, which is less than
-- a last digit. Quotients are guessed, and what the guess misses is divided in its turn (`guessed` in session.sql).
CREATE OR REPLACE TEMP MACRO apportioned(pools, weights) AS TABLE
WITH
sized AS (
    SELECT pool, CASE WHEN sum(weight) < 50000000000000000000000000::HUGEINT THEN 1::HUGEINT
        ELSE 1 + CAST(sum(weight) AS HUGEINT) // 50000000000000000000000000::HUGEINT END AS divisor
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
            WHEN NOT wider THEN c.rest * (s.w >> 40)
            ELSE c.rest * (s.w >> 80) % c.w_all * 1099511627776::HUGEINT
                + c.rest * ((s.w >> 40) & 1099511627775::HUGEINT)
        END AS high,
        CASE WHEN wide THEN guessed(high, c.w_all) ELSE 0::HUGEINT END AS high_fraction,
        CASE WHEN wider THEN c.rest * (s.w >> 80) // c.w_all ELSE 0::HUGEINT END AS top
    FROM small s JOIN scale c USING (pool)
),
part AS (
    SELECT pool, recipient, u, negative, w_all,
        whole + (top * 1099511627776::HUGEINT + high_fraction) * 1099511627776::HUGEINT AS whole,
        CASE
            WHEN wide
                THEN (high - high_fraction * w_all) * 1099511627776::HUGEINT + rest * (w & 1099511627775::HUGEINT)
            ELSE rest * w
        END AS product,
        guessed(product, w_all) AS fraction,
        product - fraction * w_all AS missed,
        guessed(missed, w_all) AS more,
        missed - more * w_all AS remainder,
        CASE WHEN remainder < 0 THEN -1 WHEN remainder >= w_all THEN 1 ELSE 0 END AS last
    FROM limb
),
based AS (
    SELECT pool, recipient, u, negative, whole + fraction + more + last AS base, remainder - last * w_all AS remainder
    FROM part
),
ranked AS (
    SELECT pool, recipient, negative, base, u - CAST(sum(base) OVER (PARTITION BY pool) AS HUGEINT) AS missing,
        row_number() OVER (PARTITION BY pool ORDER BY remainder DESC, recipient) AS rank
    FROM based
)
SELECT
    pool, recipient,
    dollars((base + CASE WHEN rank <= missing THEN 1 ELSE 0 END) * CASE WHEN negative THEN -1 ELSE 1 END) AS amount
FROM ranked;
