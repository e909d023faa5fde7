"""Take the pictures in docs/images anew: each page in light and dark, and one on a phone.

`PYTHONPATH=tests .venv/bin/python tests/browser/screenshots.py`, after a change of the pages.
"""

from __future__ import annotations

import base64
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from browser.pages import PAGES, Reader
from browser.sites import Site, running_site

IMAGES = Path(__file__).parents[2] / "docs/images"
MOST_BYTES = 150_000
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 780}
THEMES = ("light", "dark")
NOW = {"backends", "budgets"}
"""The pages that tell of now."""

FEWER_COLOURS = """
async png => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const [wide, high] = [image.width, image.height];
  const on = new OffscreenCanvas(wide, high).getContext("2d");
  on.drawImage(image, 0, 0);
  const seen = new Uint32Array(on.getImageData(0, 0, wide, high).data.buffer);
  const counts = new Map();
  for (const one of seen) counts.set(one, (counts.get(one) ?? 0) + 1);
  const parts = colour => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
  // Greys come in many shades and nobody misses one; a legend's colour may have few pixels.
  const weight = ([colour, count]) => count * (1 + Math.max(...parts(colour)) - Math.min(...parts(colour)));
  const palette = [...counts].sort((a, b) => weight(b) - weight(a)).slice(0, 256).map(([colour]) => colour);
  const far = (a, b) => a.reduce((sum, value, at) => sum + (value - b[at]) ** 2, 0);
  const known = palette.map(parts);
  const closer = colour => (best, one, at) => (far(one, colour) < far(known[best], colour) ? at : best);
  const nearest = colour => known.reduce(closer(colour), 0);
  const places = new Map([...counts.keys()].map(colour => [colour, nearest(parts(colour))]));
  const pixels = Uint8Array.from(seen, colour => places.get(colour));
  return { wide, high, palette: known.flat(), pixels: pixels.toBase64() };
}
"""
"""Takes a PNG to the 256 colours that are most common in it."""


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        with running_site(Path(folder) / "config", days=60, calls_a_day=800) as site:
            for theme in THEMES:
                take(browser, site, theme, set(PAGES) - NOW)
            # So that there is something to tell of now: a backend that is down, and one that answers.
            site.call("code", 12)
            site.call("quick", 12)
            for theme in THEMES:
                take(browser, site, theme, NOW)
        browser.close()


def take(browser: Browser, site: Site, theme: str, pages: Collection[str]) -> None:
    """Some pages in one theme."""
    scheme = "dark" if theme == "dark" else "light"
    context = browser.new_context(viewport=WIDE, color_scheme=scheme, timezone_id="Europe/Berlin")
    reader = Reader(context.new_page(), site, [])
    reader.log_in()
    # Enough days for a bar each to be read.
    span = {"since": "30d", "step": "day"}
    for page in sorted(pages):
        reader.open(page, **span)
        save(reader, f"{page}-{theme}")
    if theme == "light" and "calls" in pages:
        reader.open("calls/" + max(site.entries, key=lambda one: (one.attempt, one.time)).call)
        save(reader, "call-light")
        reader.page.set_viewport_size(PHONE)
        reader.open("overview", **span)
        save(reader, "phone-light")
    context.close()


def save(reader: Reader, name: str) -> None:
    reader.page.mouse.move(0, 0)
    path = IMAGES / f"dashboard-{name}.png"
    shot = reader.page.screenshot(animations="disabled")
    blank = reader.page.context.new_page()
    path.write_bytes(png(blank.evaluate(FEWER_COLOURS, base64.b64encode(shot).decode())))
    blank.close()
    size = path.stat().st_size
    print(f"{path.name}: {size / 1000:.0f} kB{' TOO LARGE' if size > MOST_BYTES else ''}")


def png(found: dict[str, Any]) -> bytes:
    """An image of 256 colours as a file."""
    wide, high = found["wide"], found["high"]
    pixels = base64.b64decode(found["pixels"])
    lines = b"".join(b"\0" + pixels[at : at + wide] for at in range(0, wide * high, wide))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(found["palette"])),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


if __name__ == "__main__":
    main()
