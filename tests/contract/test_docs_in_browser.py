"""/docs in a real browser: it renders, asks nobody else for anything, has nothing on its console, and "try it" makes a payment.

Chromium without a window, driven by its own driver over WebDriver (W3C), which is plain JSON over HTTP."""
from __future__ import annotations

import base64
import json
import shutil
import time
import urllib.request
from pathlib import Path

import pytest
from servers import TOP, Process, wait_until

SCREENSHOT = TOP / "build" / "reports" / "docs.png"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's reference, by the standard


class Browser(Process):
    """chromedriver and one session of Chromium."""

    name = "chromedriver"

    def start(self) -> Browser:
        self.launch([shutil.which("chromedriver"), f"--port={self.port}"])
        self.wait_up()
        arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,1600",
                     f"--user-data-dir={self.home / 'profile'}", "--disable-background-networking"]
        options = {"goog:chromeOptions": {"args": arguments, "binary": shutil.which("chromium")},
                   "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self.session = ""
        self.session = "/" + self.ask("POST", "", {"capabilities": {"alwaysMatch": options}})["sessionId"]
        return self

    def ask(self, method: str, path: str, body: object = None) -> object:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/session{self.session}{path}", method=method,
                                         data=None if method == "GET" else json.dumps(body or {}).encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.ask("POST", "/url", {"url": url})

    def script(self, text: str, *arguments: object) -> object:
        return self.ask("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def find(self, css: str) -> list[str]:
        return [each[ELEMENT] for each in self.ask("POST", "/elements", {"using": "css selector", "value": css})]

    def wait_for(self, css: str) -> str:
        wait_until(f"{css} is there", lambda: self.find(css), 60)
        return self.find(css)[0]

    def click(self, css: str) -> None:
        self.script("arguments[0].scrollIntoView({block: 'center'})", {ELEMENT: self.wait_for(css)})
        self.ask("POST", f"/element/{self.wait_for(css)}/click")

    def type(self, css: str, text: str) -> None:
        self.ask("POST", f"/element/{self.wait_for(css)}/value", {"text": text})

    def entries(self, kind: str) -> list[dict]:
        return self.ask("POST", "/se/log", {"type": kind})

    def requests(self) -> list[str]:
        """The addresses of all that was asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.entries("performance")]
        return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def end(self) -> None:
        try:
            self.ask("DELETE", "")
        finally:
            self.stop()


@pytest.fixture(scope="module")
def browser(folder):
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    made = Browser(folder.make("browser"))
    try:
        yield made.start()
    finally:
        made.end()


def test_the_docs_render_and_try_it_makes_a_payment(browser, fresh_server):
    server = fresh_server(PAYFLOW_AUTH="on")
    key = server.new_key("reader", "--test")
    origin = f"http://127.0.0.1:{server.port}/"
    browser.open("about:blank")
    browser.requests()  # those of the browser's own first page
    browser.open(f"{origin}docs")
    browser.wait_for("#operations-payments-createPayment")
    assert browser.ask("GET", "/title") == "PayFlow API"
    shown = browser.script("return [...document.querySelectorAll('.opblock')].map(e => e.id)")
    assert len(shown) == 13
    browser.screenshot(SCREENSHOT)

    browser.click("button.authorize")
    browser.type(".auth-container input", key)
    browser.click(".auth-btn-wrapper button.authorize")
    browser.click(".auth-btn-wrapper button.btn-done")
    browser.click("#operations-payments-createPayment .opblock-summary-control")
    browser.wait_for("#operations-payments-createPayment .execute")
    browser.click("#operations-payments-createPayment .execute")
    status = "#operations-payments-createPayment .live-responses-table .response .response-col_status"
    browser.wait_for(status)
    assert browser.script(f"return document.querySelector('{status}').innerText").split()[0] == "201"
    browser.screenshot(SCREENSHOT.with_name("docs-try-it.png"))

    (made,) = server.sql("SELECT amount_minor, currency, livemode FROM payments")
    assert made == (4999, "EUR", False)  # the contract's first example
    time.sleep(0.5)  # whatever else it may want to fetch
    asked = browser.requests()
    assert f"{origin}openapi.json" in asked and f"{origin}api/v1/payments" in asked
    assert [url for url in asked if not url.startswith((origin, "data:"))] == []
    assert browser.entries("browser") == []
    assert SCREENSHOT.stat().st_size > 20_000


def test_the_page_allows_itself_nothing_from_elsewhere(browser, fresh_server):
    """What the console would say if the page tried: the policy is in force, so the test above could have failed."""
    server = fresh_server()
    browser.open(f"http://127.0.0.1:{server.port}/docs")
    browser.wait_for(".opblock")
    browser.entries("browser")
    planted = browser.script("""
        const image = document.createElement('img'); image.src = 'http://127.0.0.1:1/x.png'; document.body.append(image);
        const script = document.createElement('script'); script.text = 'window.planted = 1'; document.body.append(script);
        return window.planted === undefined ? 'refused' : 'ran';""")
    assert planted == "refused"
    wait_until("the console tells of the refusal", lambda: any("Content Security Policy" in entry["message"]
                                                               for entry in browser.entries("browser")))
