"""What the pages tell of now: backends and their breakers, and to whom."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect
from rig.gateway import KEY, eventually

from browser.pages import Reader
from browser.sites import BUDGET_USD, DOWN, PROBED, WELL


def test_an_admin_sees_which_deployments_calls_cannot_go_to_and_why(reader: Reader) -> None:
    reader.site.call("code", 6)
    told = {one["backend"]: one for one in reader.site.ask("/v1/backends")["data"]}
    assert told[DOWN]["breaker"]["state"] == "open"
    assert eventually(lambda: not reader.site.ask("/v1/backends")["data"][1]["probe"]["ok"])
    reader.log_in(page="backends")
    now = reader.card("Deployments now")
    down = now.get_by_role("row").filter(has_text=DOWN)
    expect(down).to_contain_text("open")
    expect(down).to_contain_text("failures in a row")
    expect(down).to_contain_text("tried again from")
    expect(now.get_by_role("row").filter(has_text=PROBED)).to_contain_text("connection refused")
    well = now.get_by_role("row").filter(has_text="gpt-5")
    expect(well).to_contain_text(WELL)
    expect(well).to_contain_text("closed")
    expect(well).to_contain_text("code")
    # What is in trouble comes first.
    assert reader.names("Deployments now")[-1] == WELL
    expect(reader.card("Parts of the gateway")).to_contain_text("keys")
    reader.open("backends", backend=WELL)
    assert set(reader.names("Deployments now")) == {WELL}


def budget_of(reader: Reader) -> dict[str, Any]:
    [told] = reader.site.ask("/v1/usage/budgets")["data"]
    return dict(told)


def test_budgets_stand_as_the_gateway_tells(reader: Reader) -> None:
    # What the demo made up spends nothing of it.
    reader.site.call("quick", 2)
    told = budget_of(reader)
    assert told["days"][-1]["running_usd"] != "0"
    assert (told["name"], told["limit_usd"]) == ("labs", str(BUDGET_USD))
    reader.log_in(page="budgets")
    budget = reader.card("Budgets").locator("article")
    expect(budget).to_have_count(1)
    expect(budget).to_contain_text("labs")
    expect(budget).to_contain_text(f"of ${BUDGET_USD}.00")
    budget.get_by_text("Day by day", exact=True).click()
    running = budget.locator("tbody td:nth-child(3)")
    shown = running.evaluate_all("cells => cells.map(cell => cell.dataset.value)")
    assert shown == [day["running_usd"] for day in told["days"]]
    reader.open("budgets", tenant="demo-bank")
    expect(reader.card("Budgets")).to_contain_text("No budget holds here")


def test_a_tenant_sees_its_usage_by_backend_alone(reader: Reader) -> None:
    asked: list[str] = []
    reader.page.on("request", lambda request: asked.append(request.url.removeprefix(reader.site.url)))
    reader.log_in(KEY, page="backends")
    expect(reader.table("Backends").locator("tbody tr").first).to_be_visible()
    expect(reader.card("Deployments now")).to_have_count(0)
    expect(reader.card("Parts of the gateway")).to_have_count(0)
    operators = ("/v1/backends", "/metrics", "/readyz")
    assert not [path for path in asked if path.startswith(operators)]
