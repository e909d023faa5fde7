"""Bills as providers export them, with invented amounts, and a ledger to compare them with."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from gateway.finops.reconciling.comparing import Booked
from gateway.finops.reconciling.names import Kind

OPENAI_COSTS = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,\
user_id,api_key_id,project_id,organization_id,project_name,organization_name,user_email,api_source
1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,,,,,,,,,,,,,
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,2.500000000000000000,usd,1000000,tokens,\
"gpt-4o-2024-08-06, input",,key_1,proj_a,org-x,A,X,someone@example.com,
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,0.125,usd,100000,tokens,\
"gpt-4o-2024-08-06, cached input",,key_1,proj_a,org-x,A,X,someone@example.com,
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,1.0,usd,100000,tokens,\
"gpt-4o-2024-08-06, output",,key_1,proj_a,org-x,A,X,someone@example.com,
"""
OPENAI_USAGE = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,\
service_tier,input_tokens,output_tokens,input_cached_tokens,input_audio_tokens,output_audio_tokens
1793577600,1793664000,2026-11-02T00:00:00,2026-11-03T00:00:00,proj_a,12,,,gpt-5-mini-2025-08-07,,default,\
5000,700,1000,0,0
"""
ANTHROPIC_COST = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,\
inference_geo,speed,api_key_id,api_key_status
2026-11-02,Claude Haiku 4.5,Default,live,chat,≤ 200k,input_no_cache,0.05,0.05,token,n/a,,k1,on
2026-11-02,Claude Haiku 4.5,Default,live,chat,≤ 200k,output,0.02,0.02,token,n/a,,k1,on
2026-11-03,Claude Sonnet 4.5,Default,live,chat,≤ 200k,input_cache_read,0.10,0.10,token,n/a,,k1,on
2026-11-03,Claude Sonnet 4.5,Default,live,chat,≤ 200k,input_cache_write_5m,0.30,0.30,token,n/a,,k1,on
"""
ANTHROPIC_USAGE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,\
usage_output_tokens,web_search_count
2026-11-02,claude-haiku-4-5-20251001,live,Default,standard,0-200k,5000,100,20,800,700,0
"""
GOOGLE = """\
Billing account name,Project ID,Service description,Service ID,SKU description,SKU ID,Cost type,\
Usage start date,Usage end date,Usage amount,Usage unit,Unrounded Cost ($),Cost ($)
Acme,ai,Gemini API,AEFD,Generate content input token count gemini 2.5 flash short input text,1,Usage,\
2026-11-02,2026-11-02,"1,200,000",count,0.360000,0.36
Acme,ai,Gemini API,AEFD,Generate content output token count gemini 2.5 flash short output text,2,Usage,\
2026-11-02,2026-11-02,"100,000",count,0.250000,0.25
Acme,ai,Cloud Storage,95FF-2EF5,Standard Storage US Multi-region,3,Usage,2026-11-02,2026-11-02,10,GiB,\
0.26,0.26
"""
AWS = """\
identity/LineItemId,bill/BillingPeriodStartDate,lineItem/UsageStartDate,lineItem/ProductCode,lineItem/UsageType,\
lineItem/UsageAmount,lineItem/CurrencyCode,lineItem/UnblendedCost,lineItem/LineItemDescription,product/ProductName
a1,2026-11-01T00:00:00Z,2026-11-02T05:00:00Z,AmazonBedrock,USE1-Claude3.5Sonnet-input-tokens,12,USD,0.0360000000,\
"$0.003 per 1K input tokens",Amazon Bedrock
a2,2026-11-01T00:00:00Z,2026-11-02T05:00:00Z,AmazonBedrock,USE1-Claude3.5Sonnet-output-tokens,2,USD,0.0300000000,\
"$0.015 per 1K output tokens",Amazon Bedrock
a3,2026-11-01T00:00:00Z,2026-11-02T05:00:00Z,AmazonEC2,BoxUsage:m5.large,1,USD,0.0960000000,m5.large,\
Amazon Elastic Compute Cloud
"""
FOCUS = """\
BilledCost,BillingAccountId,BillingCurrency,BillingPeriodStart,ChargeCategory,ChargeDescription,\
ChargePeriodStart,ChargePeriodEnd,EffectiveCost,ProviderName,ServiceCategory,ServiceName,SkuId,SkuMeter
1.25,acc,USD,2026-11-01T00:00:00Z,Usage,GPT-5 input tokens,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,1.25,\
OpenAI,AI and Machine Learning,OpenAI API,gpt-5-input,gpt-5
3.00,acc,USD,2026-11-01T00:00:00Z,Usage,Virtual machine,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,3.00,\
Azure,Compute,Virtual Machines,d2,d2
"""


def booked(day: date, hour: int = 12, model: str = "gpt-4o", **fields: Any) -> Booked:
    """An hour of the ledger; `usd` and `tokens` by kind."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() // 3600 + hour
    kinds: tuple[Kind, ...] = ("input", "cached", "cache_write", "output", "other")
    usd = {kind: Decimal(str(fields.get("usd", {}).get(kind, 0))) for kind in kinds}
    tokens = {kind: fields.get("tokens", {}).get(kind, 0) for kind in kinds}
    doubtful, wasted = Decimal(str(fields.get("doubtful", 0))), Decimal(str(fields.get("wasted", 0)))
    prices = fields.get("prices", ("public:openai/gpt-4o@1",))
    return Booked(int(at), model, 5, tokens, usd, doubtful, wasted, fields.get("unpriced", 0), prices)
