-- Unit costs: what one call, a thousand tokens, a conversation that went well and a user cost, the dearest
-- names first. Money is divided to 10^-15 USD, the rest is cut off; NULL where there is nothing to divide by.
-- Columns: name, per_call_usd, per_1k_tokens_usd, per_good_conversation_usd, per_user_usd, calls, tokens,
-- good_conversations, users, cost_usd.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter), by1 (name of
-- a column, or `nothing`), limit.
WITH '' AS nothing
SELECT
    name,
    if(calls <= 0, NULL, cost_usd / greatest(calls, 1)) AS per_call_usd,
    if(tokens <= 0, NULL, cost_usd * 1000 / greatest(tokens, 1)) AS per_1k_tokens_usd,
    if(good_conversations = 0, NULL, cost_usd / greatest(good_conversations, 1)) AS per_good_conversation_usd,
    if(users = 0, NULL, cost_usd / greatest(users, 1)) AS per_user_usd,
    calls,
    tokens,
    good_conversations,
    users,
    cost_usd
FROM
(
    SELECT
        toString({by1:Identifier}) AS name,
        sum(u.calls) AS calls,
        sum(u.input_tokens + u.output_tokens) AS tokens,
        uniqCombinedMerge(12)(u.good_conversations) AS good_conversations,
        uniqCombinedMerge(12)(u.users) AS users,
        sum(u.cost) AS cost_usd
    FROM {rollup:Identifier} AS u
    WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
        AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
        AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
        AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
        AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    GROUP BY name
)
ORDER BY cost_usd DESC, calls DESC, name
LIMIT {limit:UInt32}
