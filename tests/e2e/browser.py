"""A headless Chromium, logged in to Airflow."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"),
    reason="no Chromium on the PATH: install Debian's package `chromium` (in CI this is no reason to skip)",
)


@contextlib.contextmanager
def logged_in(url: str, user: str, password: str) -> Iterator[Page]:
    """A page of a fresh browser in which `user` is logged in."""
    assert CHROMIUM is not None, "CI must have a Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(url)
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", password)
        # Airflow's own form, or that of FAB
        page.click("button[type=submit], input[type=submit]")
        page.wait_for_url(lambda url: "/auth/login" not in url)
        try:
            yield page
        finally:
            browser.close()
