"""What someone does at the dashboard, in their words."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, expect

from browser.sites import ADMIN_KEY, Site

PAGES = ("overview", "cost", "usage", "latency", "backends", "budgets", "calls")


class Reader(NamedTuple):
    """Someone before the page."""

    page: Page
    site: Site
    wrong: list[str]

    def log_in(self, key: str = ADMIN_KEY, page: str = "overview", **query: str) -> None:
        self.page.goto(f"{self.site.url}/dashboard#{address(page, **query)}")
        self.page.get_by_label("Key").fill(key)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("navigation", name="Pages")).to_be_visible()
        self.settle()

    def open(self, page: str, **query: str) -> None:
        self.page.goto(f"{self.site.url}/dashboard#{address(page, **query)}")
        self.settle()

    def settle(self) -> None:
        """Wait until all cards have what they show."""
        expect(self.page.locator("main h1")).to_be_visible()
        expect(self.page.locator("[aria-busy]")).to_have_count(0)

    def card(self, title: str) -> Locator:
        return self.page.get_by_role("region", name=title, exact=True)

    def table(self, title: str) -> Locator:
        """The table of a card, for which its chart makes room."""
        swap = self.card(title).get_by_role("button", name="Table", exact=True)
        if swap.count() and swap.get_attribute("aria-pressed") == "false":
            swap.click()
        return self.card(title).locator("table")

    def tile(self, name: str) -> Locator:
        return self.page.locator(f"[data-tile={name}]")

    def amounts(self, title: str, column: int) -> list[str]:
        """The exact values of a column, from the top."""
        cells = self.table(title).locator(f"tbody tr > :nth-child({column})")
        return list(cells.evaluate_all("cells => cells.map(cell => cell.dataset.value ?? '')"))

    def names(self, title: str) -> list[str]:
        return self.table(title).locator("tbody th").all_inner_texts()

    def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return int(wide)


def address(page: str, **query: str) -> str:
    return f"/{page}" + (f"?{urlencode(query)}" if query else "")
