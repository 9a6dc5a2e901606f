-- Calls that ended without a verdict: charged at what they held.
SELECT ended, model, usd_nanos / 1e9 AS usd, tags, budgets FROM indeterminate ORDER BY ended DESC LIMIT 20;
