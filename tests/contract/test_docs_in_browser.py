"""/docs in a real browser: it renders, asks nobody else for anything, has nothing on its console, and "try it" makes a payment."""
from __future__ import annotations

import time

import pytest
from browser import Browser, missing_programs
from servers import TOP, wait_until

SCREENSHOT = TOP / "build" / "reports" / "docs.png"


@pytest.fixture(scope="module")
def browser(folder):
    if missing_programs():
        pytest.skip(f"{' and '.join(missing_programs())} not installed")
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
