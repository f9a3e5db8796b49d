"""A real browser for tests: Chromium without a window, driven by its own driver over WebDriver (W3C), which is plain JSON
over HTTP. Nothing is fetched for it."""
from __future__ import annotations

import base64
import json
import shutil
import urllib.request
from pathlib import Path

from servers import Process, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's reference, by the standard


def missing_programs() -> list[str]:
    return [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]


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

    def later(self, text: str, *arguments: object) -> object:
        """As `script`, and waits until it calls its last argument, whose argument is returned."""
        return self.ask("POST", "/execute/async", {"script": text, "args": list(arguments)})

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
