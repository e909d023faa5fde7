"""Who calls what in the demo: models, routes, tenants and their teams.

Data; all of it is made up but the names of the models. Their prices are asked for.
"""

from __future__ import annotations

import msgspec

SOURCE = "demo"
"""What the column `source` has, in the ledger and the rollups."""
PREFIX = "demo-"
"""How tenants, users and calls of the demo begin."""


class Model(msgspec.Struct, frozen=True):
    """A model at a backend, and how it does."""

    backend: str
    provider: str
    """By which its public price is found; empty: it has none."""
    name: str
    first_token_ms: float
    output_per_s: float
    fails: float = 0.008
    """The share of attempts."""
    reasons: float = 0.0
    """Reasoning tokens for each token of the answer."""
    caches: str = ""
    """reads, or reads and writes (where writing is billed): what its provider's cache does."""


class Way(msgspec.Struct, frozen=True):
    """A route: what is asked for, who answers, and what such calls are like."""

    name: str
    targets: tuple[Model, ...]
    input_tokens: int
    output_tokens: int
    format: str = "chat"
    stream: float = 0.9
    """The share of calls."""
    talks: bool = True
    """Calls are turns of conversations."""
    hedges: float = 0.0
    shadow: Model | None = None


class Team(msgspec.Struct, frozen=True):
    """A part of a tenant; `share` is its part of all calls."""

    name: str
    share: float
    ways: tuple[tuple[Way, float], ...]
    keys: tuple[str, ...]
    users: int
    nightly: bool = False
    """Its jobs run at night, also on weekends."""


class Tenant(msgspec.Struct, frozen=True):
    """Who pays; `ahead_h` is how far its clocks are ahead of UTC."""

    name: str
    ahead_h: int
    tags: tuple[str, ...]
    teams: tuple[Team, ...]
    budget_used: float
    """How much of a month's budget is spent at the end."""


GPT5 = Model("openai", "openai", "gpt-5", 900, 85, reasons=1.2, caches="reads")
GPT5_MINI = Model("openai", "openai", "gpt-5-mini", 600, 130, reasons=0.5, caches="reads")
GPT4O = Model("openai", "openai", "gpt-4o", 480, 95, caches="reads")
GPT4O_MINI = Model("azure", "azure", "gpt-4o-mini", 420, 110, caches="reads")
EMBEDDING = Model("openai", "openai", "text-embedding-3-small", 90, 0, fails=0.002)
SONNET = Model("anthropic", "anthropic", "claude-sonnet-4-5", 850, 70, fails=0.014, caches="reads and writes")
HAIKU = Model("anthropic", "anthropic", "claude-haiku-4-5", 450, 150, caches="reads and writes")
OPUS = Model("anthropic", "anthropic", "claude-opus-4-1", 1600, 40, fails=0.02, caches="reads and writes")
FLASH = Model("gemini", "gemini", "gemini-2.5-flash", 400, 190, reasons=0.3, caches="reads")
PRO = Model("gemini", "gemini", "gemini-2.5-pro", 1400, 110, reasons=1.0, caches="reads")
MISTRAL = Model("mistral", "mistral", "mistral-large-latest", 600, 60)
DEEPSEEK = Model("deepseek", "deepseek", "deepseek-chat", 1100, 45, fails=0.02, caches="reads")
LLAMA = Model("groq", "groq", "llama-3.3-70b-versatile", 180, 280, fails=0.01)
OWN = Model("cluster", "", "llama-3.3-70b", 350, 55, fails=0.004)
TRIAL = Model("cluster", "", "qwen3-next-trial", 300, 70)
"""Without any price: a ledger has to show such, too."""

OUTAGE = "anthropic"
"""The backend that has a bad evening."""
DEARER = GPT4O_MINI
"""The model whose price changes in the middle: a contract of one's own ends."""

ASSISTANT = Way("assistant", (SONNET, GPT5), 2600, 420, hedges=0.05)
CODE = Way("code", (SONNET, OPUS), 7200, 700, format="messages", shadow=PRO)
QUICK = Way("quick", (GPT4O_MINI, HAIKU), 900, 160, hedges=0.03)
SUPPORT = Way("support", (GPT4O, MISTRAL, HAIKU), 1900, 260)
REASON = Way("reason", (GPT5, PRO), 3200, 800, stream=0.6)
EXTRACT = Way("extract", (FLASH, GPT5_MINI), 5200, 210, stream=0.0, talks=False)
CHEAP = Way("cheap", (DEEPSEEK, LLAMA), 1500, 330, stream=0.4)
PRIVATE = Way("private", (OWN, MISTRAL), 2100, 300)
DEEP = Way("deep-research", (OPUS, GPT5), 14000, 1500, format="messages", stream=0.3)
EMBED = Way("embed", (EMBEDDING,), 700, 0, format="embeddings", stream=0.0, talks=False)
TRY_OUT = Way("trial", (TRIAL, LLAMA), 800, 200)

TENANTS = (
    Tenant(
        "demo-shop",
        1,
        ("gold", "eu"),
        (
            Team("search", 0.16, ((EMBED, 0.7), (QUICK, 0.3)), ("shop-search", "shop-search-eu"), 0),
            Team("helpdesk", 0.15, ((SUPPORT, 0.8), (QUICK, 0.2)), ("shop-helpdesk",), 140),
            Team("catalogue", 0.06, ((EXTRACT, 0.9), (CHEAP, 0.1)), ("shop-batch",), 0, nightly=True),
        ),
        0.93,
    ),
    Tenant(
        "demo-bank",
        0,
        ("gold", "regulated"),
        (
            Team("advisors", 0.13, ((PRIVATE, 0.7), (ASSISTANT, 0.3)), ("bank-advisors",), 90),
            Team("fraud", 0.09, ((REASON, 0.4), (EXTRACT, 0.6)), ("bank-fraud", "bank-fraud-dr"), 0),
        ),
        0.71,
    ),
    Tenant(
        "demo-studio",
        -5,
        ("silver",),
        (
            Team("writers", 0.11, ((ASSISTANT, 0.75), (CHEAP, 0.25)), ("studio-writers",), 60),
            Team("localisation", 0.06, ((CHEAP, 0.6), (SUPPORT, 0.4)), ("studio-l10n",), 12, nightly=True),
        ),
        0.88,
    ),
    Tenant(
        "demo-labs",
        -8,
        ("silver", "new_models"),
        (
            Team("engineering", 0.17, ((CODE, 0.85), (ASSISTANT, 0.15)), ("labs-ide", "labs-ci"), 75),
            Team("research", 0.05, ((REASON, 0.6), (DEEP, 0.25), (TRY_OUT, 0.15)), ("labs-research",), 9),
        ),
        0.98,
    ),
    Tenant(
        "demo-startup",
        5,
        (),
        (Team("", 0.02, ((QUICK, 0.7), (CHEAP, 0.3)), ("startup-app",), 200),),
        0.42,
    ),
)
"""The shares of their teams add up to 1."""

SPIKE = ("demo-labs", "research", DEEP)
"""Whose forgotten loop is the anomaly, on which route."""
