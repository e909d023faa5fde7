"""What the pages show when there is nothing, or something is wrong; in the dark, on a phone, by keys."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Route, expect

from browser.pages import PAGES, Reader
from browser.sites import DAYS, HOUR_S

NAMED = """one => one.ariaLabel || one.textContent || one.title
    || [...(one.labels ?? [])].map(label => label.textContent).join()"""
DOWN = {"error": {"message": "usage cannot be told now: ClickHouse does not answer", "code": "store_down"}}


def test_an_empty_range_says_what_to_do(reader: Reader) -> None:
    reader.log_in(page="overview", since="2020-01-01", until="2020-01-02", model="no-such-model")
    card = reader.card("Cost over time")
    expect(card).to_contain_text("No calls in this range")
    card.get_by_role("link", name="Remove the filters").click()
    reader.settle()
    assert "model=" not in reader.page.url
    card.get_by_role("link", name="Look at 30 days").click()
    reader.settle()
    expect(card.locator("canvas").first).to_be_visible()


def test_a_ledger_that_is_down_is_said_and_tried_again(reader: Reader) -> None:
    reader.log_in(page="overview")

    def refuse(route: Route) -> None:
        route.fulfill(status=503, content_type="application/json", body=json.dumps(DOWN))

    reader.page.route("**/v1/usage/panels/movers*", refuse)
    reader.page.get_by_role("button", name="Refresh").click()
    trouble = reader.card("Top movers").get_by_role("alert")
    expect(trouble).to_contain_text("The ledger cannot be asked now")
    expect(trouble).to_contain_text("ClickHouse does not answer")
    reader.page.unroute("**/v1/usage/panels/movers*")
    trouble.get_by_role("button", name="Try again").click()
    expect(reader.table("Top movers").locator("tbody tr").first).to_be_visible()


def test_a_gateway_that_does_not_answer_is_said(reader: Reader) -> None:
    reader.log_in(page="cost")
    reader.page.route("**/v1/usage/**", lambda route: route.abort())
    reader.page.get_by_role("button", name="Refresh").click()
    expect(reader.card("Unit costs").get_by_role("alert")).to_contain_text("cannot be reached")


def test_a_call_that_is_not_there_is_said_once(reader: Reader) -> None:
    reader.log_in(page="calls/call_nowhere")
    expect(reader.page.get_by_role("alert")).to_have_count(1)
    expect(reader.page.get_by_role("alert")).to_contain_text("there is no such call")


def test_names_in_the_ledger_are_text(reader: Reader) -> None:
    name = "<img src=x onerror=alert(1)>"
    columns = [{"name": "name", "type": "text", "title": "Name"}]
    columns += [{"name": one, "type": "usd", "title": one} for one in ("cost_usd", "change_usd")]
    body = {"columns": columns, "rows": [[name, "1", "0.5"]], "since": 1, "until": 2, "step": "hour"}
    reader.page.route("**/v1/usage/panels/movers*", lambda route: route.fulfill(json=body))
    reader.log_in(page="overview")
    assert reader.names("Top movers") == [name]


def test_budgets_are_shown_with_where_they_lead(reader: Reader) -> None:
    now = reader.site.until
    days = [{"time": now, "spent_usd": "812.3456789", "running_usd": "812.3456789"}]
    one = {"name": "monthly", "per": {"team": "labs"}, "text": "$1,000 per month", "over": "refuse"}
    one |= {"shadow": False, "since": now, "end": now + 86_400, "revised": False, "days": days}
    one |= {"spent_usd": "812.3456789", "limit_usd": "1000", "share": 0.812346}
    one |= {"forecast_usd": "1164.2", "runs_out": now + 3600}
    body = {"object": "list", "data": [one], "more": 0}
    reader.page.route("**/v1/usage/budgets*", lambda route: route.fulfill(json=body))
    reader.log_in(page="budgets")
    budget = reader.card("Budgets").locator("article")
    expect(budget).to_contain_text("monthly team labs")
    expect(budget).to_contain_text("$812.35 of $1,000.00, 81.2")
    expect(budget).to_contain_text("nearly used up")
    expect(budget).to_contain_text("At this rate $1,164.20 by")
    expect(budget).to_contain_text("Runs out")
    budget.get_by_text("Day by day", exact=True).click()
    expect(budget.locator("tbody tr")).to_have_count(1)


def test_invented_data_is_said_to_be_so(reader: Reader) -> None:
    me = {"tenant": "office", "key": "analyst", "admin": True, "demo": True}
    reader.page.route("**/dashboard/me", lambda route: route.fulfill(json=me))
    reader.log_in()
    expect(reader.page.get_by_role("status")).to_contain_text("Demo data")


def test_it_loads_itself_again_only_when_told_to(reader: Reader) -> None:
    reader.page.clock.install()
    reader.log_in(page="backends")
    asked: list[str] = []
    reader.page.on("request", lambda request: asked.append(request.url))
    reader.page.clock.run_for(65_000)
    assert not asked
    reader.page.get_by_role("switch").check()
    with reader.page.expect_request("**/v1/usage/panels/backends*"):
        reader.page.clock.run_for(31_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_until_one_is_chosen(reader: Reader, scheme: str) -> None:
    reader.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    reader.log_in(page="overview")
    background = "getComputedStyle(document.body).backgroundColor"
    system = reader.page.evaluate(background)
    assert (system == "rgb(16, 20, 24)") == (scheme == "dark")
    turn = reader.page.get_by_role("button", name="Theme")
    turn.click()
    reader.settle()
    assert reader.page.evaluate(background) == "rgb(244, 245, 247)"
    turn.click()
    reader.settle()
    assert reader.page.evaluate(background) == "rgb(16, 20, 24)"
    reader.page.reload()
    reader.settle()
    assert reader.page.evaluate(background) == "rgb(16, 20, 24)"


@pytest.mark.parametrize("page", PAGES)
def test_nothing_sticks_out_on_a_phone(phone: Reader, page: str) -> None:
    span = {"since": str(phone.site.until - (DAYS - 1) * 24 * HOUR_S), "until": str(phone.site.until)}
    phone.log_in(page=page, **span)
    assert phone.overflow() <= 0
    phone.page.get_by_text("+ Filter").click()
    assert phone.overflow() <= 0
    phone.page.keyboard.press("Escape")
    phone.page.get_by_role("group", name="Time range").locator("summary").click()
    assert phone.overflow() <= 0


def test_a_call_fits_on_a_phone(phone: Reader) -> None:
    call = phone.site.entries[-1].call
    phone.log_in(page=f"calls/{call}")
    expect(phone.card("What it was")).to_be_visible()
    assert phone.overflow() <= 0


def test_the_keyboard_reaches_pages_ranges_and_rows(reader: Reader) -> None:
    reader.log_in(page="overview")
    reader.page.keyboard.press("Tab")
    expect(reader.page.get_by_role("link", name="Skip to the numbers")).to_be_focused()
    reached: set[str] = set()
    for _ in range(60):
        reader.page.keyboard.press("Tab")
        reached.add(
            reader.page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''")
        )
    assert {"Cost", "30 d", "Refresh", "Table", "CSV", "Log out"} <= reached


def test_every_control_has_a_name_and_every_chart_a_description(reader: Reader) -> None:
    reader.log_in(page="cost")
    for control in reader.page.locator("button, a, input, select, summary").all():
        name = control.evaluate(NAMED)
        assert name.strip(), control.evaluate("one => one.outerHTML")
    for image in reader.page.get_by_role("img").all():
        assert "Table shows the numbers" in (image.get_attribute("aria-label") or "")
