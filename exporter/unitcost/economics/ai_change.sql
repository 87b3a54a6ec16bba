-- reads: ai_day, and of this run: two_spans (the days before, and those now: earlier, first_day, end_day), token_unit
-- writes: nothing; what AI cost and how much was used of it, by tenant, model, feature and unit, before and now

SELECT coalesce(a.tenant, ''), coalesce(a.feature, ''), coalesce(a.model, ''), coalesce(a.unit, ''),
    CAST(coalesce(sum(a.amount) FILTER (s.earlier), 0) AS DECIMAL(38, 12)),
    CAST(coalesce(sum(a.amount) FILTER (NOT s.earlier), 0) AS DECIMAL(38, 12)),
    CAST(coalesce(sum(a.quantity) FILTER (s.earlier AND a.unit IN (FROM token_unit)), 0) AS DECIMAL(38, 12)),
    CAST(coalesce(sum(a.quantity) FILTER (NOT s.earlier AND a.unit IN (FROM token_unit)), 0) AS DECIMAL(38, 12))
FROM ai_day a JOIN two_spans s ON a.day >= s.first_day AND a.day < s.end_day
GROUP BY a.tenant, a.feature, a.model, a.unit
