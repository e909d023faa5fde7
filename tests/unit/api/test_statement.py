"""GET /v1/usage/statement: a tenant's own; an admin's choice; what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from litestar import Litestar, Response

from gateway.api import statement
from gateway.errors import GatewayError, StoreDown
from gateway.exchange import Caller
from gateway.finops.statement.asking import Statements
from gateway.protocols import Found

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated inferred style")


class Asked:
    """A store without rows that remembers whose were asked for."""

    def __init__(self) -> None:
        self.tenants: list[Any] = []
        self.error: Exception | None = None

    def query(self, sql: str, parameters: Mapping[str, Any]) -> Found:
        if self.error is not None:
            raise self.error
        assert parameters["tenants"]
        self.tenants.append(parameters["tenants"])
        return Found((), [])


@pytest.fixture
def store() -> Asked:
    return Asked()


@pytest.fixture
def ask(store: Asked, monkeypatch: pytest.MonkeyPatch) -> Any:
    def ask(path: str, *, admin: bool = False) -> httpx.Response:
        async def caller_of(_request: Any, _runtime: Any) -> Caller:
            return Caller("acme", "k", admin=admin)

        monkeypatch.setattr(statement, "caller_of", caller_of)
        desk: Any = Statements(store, {"acme": Caller("acme", "", timezone="Asia/Kolkata")})
        runtime: Any = SimpleNamespace(statements=desk, clean=str)
        app = Litestar(
            statement.statement_handlers(lambda: runtime),
            exception_handlers={
                GatewayError: lambda _, error: Response(error.message, status_code=error.status)
            },
            logging_config=None,
        )

        async def scene() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.get(f"/v1/usage/statement{path}")

        return asyncio.run(scene())

    return ask


@pytest.mark.parametrize(
    "path",
    ["", "?tenant=other", "?tenant=&month=2026-10", "?tenant=other&tenant=acme", "?tenant=*&format=html"],
)
def test_a_tenant_gets_its_own_whatever_it_asks_for(store: Asked, ask: Any, path: str) -> None:
    assert ask(path).status_code == 200
    assert store.tenants == [["acme"]] * 2


def test_an_admin_gets_anyones_and_its_own_by_default(store: Asked, ask: Any) -> None:
    assert ask("?tenant=other", admin=True).status_code == 200
    assert ask("?month=2026-10", admin=True).status_code == 200
    assert store.tenants == [["other"]] * 2 + [["acme"]] * 2


def test_a_page_may_not_load_or_run_anything(ask: Any) -> None:
    page = ask("?month=2026-10&format=html")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "Asia/Kolkata" in page.text
    sheet = ask("?month=2026-10")
    assert sheet.headers["content-type"].startswith("text/csv")
    assert sheet.headers["content-disposition"] == 'attachment; filename="statement-2026-10.csv"'


@pytest.mark.parametrize("path", ["?month=2026-13", "?month=x", "?format=pdf", "?format="])
def test_what_cannot_be_told_is_refused(ask: Any, path: str) -> None:
    assert ask(path).status_code == 400


def test_without_the_ledger_the_answer_is_503(store: Asked, ask: Any) -> None:
    store.error = StoreDown("ClickHouse is not reachable")
    assert ask("?month=2026-10").status_code == 503
