"""A headless Chromium, driven by Playwright: a page as a browser sees it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """The browser of this machine, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of one browser, in a fresh context for each `open`."""

    def __init__(self) -> None:
        from playwright.sync_api import sync_playwright

        self.playwright = sync_playwright().start()
        self.browser = self.playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        self.requests: list[str] = []
        self.errors: list[str] = []

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Show a page, and wait until it and its pictures are loaded."""
        for context in self.browser.contexts:
            context.close()
        self.requests, self.errors = [], []
        self.page = self.browser.new_page(
            viewport={"width": width, "height": 844}, is_mobile=width < 600, color_scheme="dark" if dark else "light"
        )
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        self.page.on("console", self._log)
        self.page.on("dialog", self._dismiss)
        self.page.goto(path.as_uri())

    def run(self, script: str) -> Any:
        """The value of an expression, or of its promise, in the page."""
        return self.page.evaluate(script)

    def complaints(self) -> list[str]:
        """Errors and warnings on the console, exceptions and dialogs since `open`."""
        self.run("0")  # events that the page sent before this answer have arrived with it
        return self.errors

    def loaded(self) -> list[str]:
        """The addresses that the page requested, except data URIs."""
        return [url for url in self.requests if not url.startswith("data:")]

    def close(self) -> None:
        self.browser.close()
        self.playwright.stop()

    def _log(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text} {message.location['url']}")

    def _dismiss(self, dialog: Any) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()
