"""Logging in, and what each key shows."""

from __future__ import annotations

from playwright.sync_api import expect
from rig.gateway import KEY

from browser.pages import Reader
from browser.sites import DAYS, HOUR_S, TENANT, dollars


def test_a_wrong_key_is_refused_and_can_be_corrected(reader: Reader) -> None:
    reader.page.goto(f"{reader.site.url}/dashboard")
    reader.page.get_by_label("Key").fill("fb-not-a-key")
    reader.page.get_by_role("button", name="Log in").click()
    expect(reader.page.get_by_role("alert")).to_have_text("This key is not known, or has ended.")
    reader.log_in()
    expect(reader.page.locator(".badge")).to_have_text("admin")


def test_an_admin_sees_all_tenants_and_a_tenant_itself_alone(reader: Reader) -> None:
    site = reader.site
    since = site.until - (DAYS - 1) * 24 * HOUR_S
    span = {"since": str(since), "until": str(site.until)}
    reader.log_in(page="overview", **span)
    every = site.within(since, site.until)
    expect(reader.tile("cost_usd")).to_have_attribute("data-value", dollars(every))
    assert set(reader.names("Cost by tenant")) == {one.tenant for one in every}
    reader.page.get_by_role("button", name="Log out").click()
    reader.log_in(KEY, page="overview", **span)
    own = site.within(since, site.until, tenant=TENANT)
    expect(reader.tile("cost_usd")).to_have_attribute("data-value", dollars(own))
    expect(reader.page.locator(".badge")).to_have_count(0)
    # Asking for another one in the address changes nothing.
    other = next(one.tenant for one in every if one.tenant != TENANT)
    reader.open("overview", tenant=other, **span)
    expect(reader.tile("cost_usd")).to_have_attribute("data-value", dollars(own))


def test_whose_session_has_ended_logs_in_again_and_is_where_they_were(reader: Reader) -> None:
    reader.log_in(page="usage", since="24h")
    reader.page.context.clear_cookies()
    reader.page.get_by_role("button", name="Refresh").click()
    expect(reader.page.get_by_role("alert")).to_contain_text("log in again")
    reader.page.get_by_label("Key").fill(KEY)
    reader.page.get_by_role("button", name="Log in").click()
    expect(reader.page.get_by_role("heading", name="Usage", level=1)).to_be_visible()
    assert "since=24h" in reader.page.url


def test_after_logging_out_the_pages_are_closed(reader: Reader) -> None:
    reader.log_in()
    reader.page.get_by_role("button", name="Log out").click()
    expect(reader.page.get_by_label("Key")).to_be_visible()
    reader.page.reload()
    expect(reader.page.get_by_label("Key")).to_be_visible()
