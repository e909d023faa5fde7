"""Reading the pages: ranges, filters, drilling down, numbers, tables, exports."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.pages import PAGES, Reader
from browser.sites import HOUR_S, TENANT, dollars

DAY_S = 24 * HOUR_S


def span(reader: Reader, days: int = 3) -> dict[str, str]:
    return {"since": str(reader.site.until - days * DAY_S), "until": str(reader.site.until)}


def test_the_tiles_show_what_the_rows_add_up_to(reader: Reader) -> None:
    times = span(reader)
    reader.log_in(page="overview", **times)
    found = reader.site.within(int(times["since"]), int(times["until"]))
    expect(reader.tile("cost_usd")).to_have_attribute("data-value", dollars(found))
    expect(reader.tile("cost_usd")).to_have_attribute("title", f"${dollars(found)}")
    expect(reader.tile("calls")).to_have_attribute("data-value", str(sum(one.calls for one in found)))
    output = sum(one.output_tokens for one in found)
    expect(reader.tile("output_tokens")).to_have_attribute("data-value", str(output))
    wasted = dollars([one for one in found if one.waste])
    expect(reader.tile("wasted_usd")).to_have_attribute("data-value", wasted)
    [totals] = reader.site.records("totals", **times)
    for name in ("errors", "users", "total_p95_ms", "saved_usd"):
        shown = str(totals[name]).removesuffix(".0")  # as JavaScript writes whole numbers
        expect(reader.tile(name)).to_have_attribute("data-value", shown)


def test_tables_show_what_the_api_tells(reader: Reader) -> None:
    times = span(reader)
    reader.log_in(page="cost", **times)
    told = reader.site.records("breakdown", by="model,backend", limit="12", **times)
    assert reader.names("By model and backend") == [row["name1"] or "(none)" for row in told]
    assert reader.amounts("By model and backend", 6) == [row["cost_usd"] for row in told]
    series = reader.site.records("series", by="model", limit="7", **times)
    assert reader.amounts("Cost over time", 7) == [row["cost_usd"] for row in series]


def test_the_range_is_changed_and_back_goes_back(reader: Reader) -> None:
    reader.log_in(page="cost")
    ranges = reader.page.get_by_role("group", name="Time range")
    expect(ranges.get_by_text("7 d", exact=True)).to_have_attribute("aria-current", "true")
    ranges.get_by_text("24 h", exact=True).click()
    reader.settle()
    assert "since=24h" in reader.page.url
    expect(ranges.get_by_text("24 h", exact=True)).to_have_attribute("aria-current", "true")
    reader.page.get_by_role("link", name="Usage", exact=True).click()
    reader.settle()
    assert "#/usage?since=24h" in reader.page.url
    reader.page.go_back()
    expect(reader.page.get_by_role("heading", name="Cost", level=1)).to_be_visible()
    reader.page.go_back()
    expect(ranges.get_by_text("7 d", exact=True)).to_have_attribute("aria-current", "true")


def test_a_range_of_ones_own_is_in_the_viewers_zone(reader: Reader) -> None:
    reader.log_in(page="overview")
    reader.page.get_by_role("group", name="Time range").get_by_text("Custom").click()
    expect(reader.page.locator(".pop[open] .note")).to_contain_text("Kat")
    reader.page.get_by_label("From", exact=True).fill("2026-11-10T05:45")
    reader.page.get_by_label("Until", exact=True).fill("2026-11-10T04:45")
    reader.page.get_by_role("button", name="Show", exact=True).click()
    assert "since" not in reader.page.url  # the end is before the beginning
    reader.page.get_by_label("Until", exact=True).fill("2026-11-11T05:45")
    reader.page.get_by_role("button", name="Show", exact=True).click()
    reader.settle()
    assert "since=1794268800&until=1794355200" in reader.page.url  # midnights of UTC, 5:45 in Kathmandu


def test_a_filter_is_set_kept_over_pages_and_removed(reader: Reader) -> None:
    times = span(reader)
    reader.log_in(page="overview", **times)
    reader.page.get_by_text("+ Filter").click()
    reader.page.get_by_label("Only this").select_option("model")
    model = reader.site.records("breakdown", by="model", **times)[0]["name1"]
    reader.page.get_by_label("Name", exact=True).fill(model)
    reader.page.get_by_role("button", name="Add").click()
    reader.settle()
    found = reader.site.within(int(times["since"]), int(times["until"]), model=model)
    expect(reader.tile("cost_usd")).to_have_attribute("data-value", dollars(found))
    reader.page.get_by_role("link", name="Cost", exact=True).click()
    reader.settle()
    assert set(reader.names("By model and backend")) == {model}
    reader.page.get_by_role("link", name=f"Remove the filter model {model}").click()
    reader.settle()
    assert len(set(reader.names("By model and backend"))) > 1


def test_what_has_no_name_can_be_asked_for(reader: Reader) -> None:
    times = span(reader) | {"team": ""}
    told = reader.site.ask("/v1/usage", by="team", **times)
    reader.log_in(page="overview", **span(reader))
    reader.page.get_by_text("+ Filter").click()
    reader.page.get_by_label("Only this").select_option("team")
    reader.page.get_by_role("button", name="Without a name").click()
    reader.settle()
    assert reader.page.url.endswith("&team=")
    found = reader.site.within(int(times["since"]), int(times["until"]), team="")
    assert found
    assert told["total"]["cost_usd"] == dollars(found)
    expect(reader.tile("cost_usd")).to_have_attribute("data-value", dollars(found))
    reader.page.get_by_role("link", name="Usage", exact=True).click()
    reader.settle()
    assert "team=" in reader.page.url
    reader.page.get_by_role("link", name="Remove the filter team (none)").click()
    reader.settle()
    assert "team=" not in reader.page.url
    # A row of such leads to its calls.
    reader.open("cost", by="team", key=found[0].key, **span(reader))
    reader.table("By team and key").get_by_role("link", name="(none)").first.click()
    reader.settle()
    assert "team=" in reader.page.url
    calls = {one.call for one in found if one.key == found[0].key}
    shown = reader.table("Calls").locator("tbody code").all_inner_texts()
    assert shown
    assert set(shown) <= calls


def test_statements_open(reader: Reader, tmp_path: Path) -> None:
    month = datetime.fromtimestamp(reader.site.until - 1, UTC).strftime("%Y-%m")
    reader.log_in(page="cost", tenant=TENANT, **span(reader))
    card = reader.card("Chargeback statement")
    card.get_by_label("Month").fill(month)
    with reader.page.context.expect_page() as opened:
        card.get_by_role("link", name="Open to print").click()
    paper = opened.value
    paper.wait_for_load_state()
    expect(paper.get_by_role("heading", level=1)).to_be_visible()
    expect(paper.locator("body")).to_contain_text(TENANT)
    # Its own styles are allowed by its policy.
    assert paper.evaluate("[...document.styleSheets].some(one => one.cssRules.length > 0)")
    paper.close()
    with reader.page.expect_download() as saved:
        card.get_by_role("link", name="CSV", exact=True).click()
    assert saved.value.suggested_filename == f"statement-{month}.csv"
    saved.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {row["tenant"] for row in rows} == {TENANT}


def test_a_row_leads_to_its_calls_and_a_call_to_all_its_entries(reader: Reader) -> None:
    reader.log_in(page="cost", **span(reader))
    cell = reader.table("By model and backend").locator("tbody th a").first
    model = cell.inner_text()
    cell.click()
    reader.settle()
    expect(reader.page.get_by_role("heading", name="Calls", level=1)).to_be_visible()
    shown = reader.table("Calls").locator("tbody tr")
    assert shown.count() > 1
    told = reader.site.ask("/v1/usage/calls", model=model, limit="50", **span(reader))
    assert reader.amounts("Calls", 10) == [one["cost_usd"] for one in told["data"]]
    call = told["data"][0]["call"]
    shown.first.locator("th a").click()
    reader.settle()
    assert call in reader.page.url
    entries = [one for one in reader.site.entries if one.call == call]
    assert reader.table("Entries in the ledger").locator("thead th").count() == 1 + len(entries)
    expect(reader.card("Timings")).to_contain_text("Whole call")
    expect(reader.card("Why it went there").locator("dd").first).not_to_be_empty()
    reader.page.go_back()
    expect(reader.page.get_by_role("heading", name="Calls", level=1)).to_be_visible()


def test_a_bar_leads_to_its_calls(reader: Reader) -> None:
    times = span(reader) | {"step": "day"}
    reader.log_in(page="cost", **times)
    plot = reader.card("Cost over time").locator(".u-over")
    box = plot.bounding_box()
    assert box is not None
    # The second bar, near its foot: there is the series that cost most.
    where = {"x": box["width"] * 0.4, "y": box["height"] - 3}
    plot.hover(position=where)
    expect(reader.card("Cost over time").locator(".tip")).to_contain_text("$")
    plot.click(position=where)
    reader.settle()
    since, until = (int(text) for text in re.findall(r"(?:since|until)=(\d+)", reader.page.url))
    assert until - since == DAY_S
    [model] = re.findall(r"model=([^&]+)", reader.page.url)
    top = reader.site.records("breakdown", by="model", **span(reader))[0]["name1"]
    assert model == top
    assert reader.table("Calls").locator("tbody tr").count() > 0


def test_a_legend_entry_hides_its_series(reader: Reader) -> None:
    reader.log_in(page="cost", **span(reader))
    entry = reader.card("Cost over time").get_by_role("group", name="Series").get_by_role("button").first
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "false")
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "true")


def test_tables_are_sorted_by_a_key_press(reader: Reader) -> None:
    reader.log_in(page="usage", **span(reader))
    head = reader.table("By route").get_by_role("columnheader", name="Calls")
    head.get_by_role("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    falling = [int(amount) for amount in reader.amounts("By route", 2)]
    assert falling == sorted(falling, reverse=True)
    head.get_by_role("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert [int(amount) for amount in reader.amounts("By route", 2)] == falling[::-1]


def test_a_csv_has_what_the_page_shows(reader: Reader, tmp_path: Path) -> None:
    times = span(reader)
    reader.log_in(page="cost", **times)
    with reader.page.expect_download() as saved:
        reader.card("Cost over time").get_by_role("link", name="Export CSV").click()
    saved.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = reader.site.records("series", by="model", limit="7", **times)
    assert [row["cost_usd"] for row in rows] == [row["cost_usd"] for row in told]
    assert saved.value.suggested_filename.endswith(".csv")


def test_older_calls_are_reached_page_by_page(reader: Reader) -> None:
    reader.log_in(page="calls", **span(reader))
    first = reader.table("Calls").locator("tbody code").all_inner_texts()
    reader.page.get_by_role("link", name="Older calls").click()
    reader.settle()
    second = reader.table("Calls").locator("tbody code").all_inner_texts()
    assert second
    assert not set(first) & set(second)
    reader.page.go_back()
    reader.settle()
    assert reader.table("Calls").locator("tbody code").all_inner_texts() == first


def test_calls_are_searched(reader: Reader) -> None:
    reader.log_in(page="calls", **span(reader))
    search = reader.page.get_by_role("search", name="Calls")
    search.get_by_label("Costs at least, $").fill("0.05")
    search.get_by_label("Status").fill("200, 499")
    search.get_by_role("button", name="Search").click()
    reader.settle()
    amounts = reader.amounts("Calls", 10)
    assert amounts
    assert all(float(amount) >= 0.05 for amount in amounts)
    search.get_by_label("Status").fill("teapot")
    search.get_by_role("button", name="Search").click()
    expect(reader.page.get_by_role("alert")).to_contain_text("`status` is an HTTP status")


@pytest.mark.parametrize("page", PAGES)
def test_each_page_shows_all_its_cards(reader: Reader, page: str) -> None:
    reader.log_in(page=page, **span(reader))
    expect(reader.page.get_by_role("alert")).to_have_count(0)
    assert reader.page.locator("section.card").count() > 0
    expect(reader.page.locator("footer")).to_contain_text("Asia/Kat")
