"""A real Chromium before a real gateway. What a page does wrong by itself fails every test here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from rig.programs.lacking import lacking

from browser.pages import Reader
from browser.sites import Site, running_site

WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 780}
FAR = "Asia/Kathmandu"
"""A zone whose offset is no whole hour."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Ends with the last test of this folder: while it runs, no other test can run an event loop here."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        lacking("there is no chromium; on Debian: apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("browser") / "config") as running:
        yield running


def _opened(chromium: Browser, site: Site, size: dict[str, int]) -> Iterator[Reader]:
    context = chromium.new_context(viewport=size, timezone_id=FAR, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(15_000)
    wrong = _watched(page, site)
    yield Reader(page, site, wrong)
    context.close()
    assert not wrong, wrong


@pytest.fixture
def reader(chromium: Browser, site: Site) -> Iterator[Reader]:
    """Someone at a desk, before the login."""
    yield from _opened(chromium, site, WIDE)


@pytest.fixture
def phone(chromium: Browser, site: Site) -> Iterator[Reader]:
    """Someone with a small phone, before the login."""
    yield from _opened(chromium, site, PHONE)


def _watched(page: Page, site: Site) -> list[str]:
    """What must not happen: errors of the page's code, refusals of its policy, requests to other hosts."""
    wrong: list[str] = []
    host = urlsplit(site.url).netloc

    def said(message: ConsoleMessage) -> None:
        # Chromium itself reports each answer that is an error; tests bring those about.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            wrong.append(f"console: {message.text}")

    def asked(url: str) -> None:
        if urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).netloc != host:
            wrong.append(f"a request to {url}")

    page.on("console", said)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("request", lambda request: asked(request.url))
    return wrong
