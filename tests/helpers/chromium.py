"""Opens a page in a Chromium without a window, where there is one, and waits for what a script in the page sends."""

import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chrome-headless-shell")
VARIABLE = "BGS_TEST_CHROMIUM"
MISSING = f"There is no Chromium: none of {', '.join(NAMES)} is on PATH, and {VARIABLE} names none."
FLAGS = (
    "--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--force-device-scale-factor=1", "--hide-scrollbars",
)  # fmt: skip
SECONDS = 240  # with WebGL in software on a busy machine


def find_chromium() -> str | None:
    """The program, or None."""
    named = os.environ.get(VARIABLE)
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Answers:
    """Receives one form that a page sends, as the JSON in it."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.value: Any = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8")
                outer.value = json.loads(body.partition("=")[2])
                self.send_response(204)
                self.end_headers()
                outer.came.set()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def __enter__(self) -> "Answers":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def answer_of(page: Path, answers: Answers, profile: Path, size: tuple[int, int]) -> Any:
    """Open a file in a window of this size and return what its script sends to `answers`."""
    chromium = find_chromium()
    assert chromium is not None
    window = f"--window-size={size[0]},{size[1]}"
    command = [chromium, *FLAGS, window, f"--user-data-dir={profile}", page.resolve().as_uri()]
    with (profile.parent / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            assert answers.came.wait(SECONDS), (profile.parent / "chromium.log").read_text(errors="replace")[-2000:]
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return answers.value
