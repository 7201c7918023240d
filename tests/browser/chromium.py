"""Debian's chromium, without a screen."""
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

PROGRAM = "chromium"
TIMEOUT = 60.0  # seconds
FOUND = re.compile(r'<pre id="found">(.*?)</pre>', re.DOTALL)


def opened(page: str, width: int, *, wait: float = 0.0) -> str:
    """The document of a page (URL) as it is in a window so wide (pixels), after so many seconds of the page's clock."""
    program = shutil.which(PROGRAM)
    assert program, f"{PROGRAM} is not installed: apt install {PROGRAM}"
    # Its sandbox needs privileges that a container lacks; it opens nothing but our own pages.
    return subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},1000",
         *([f"--timeout={wait * 1000:.0f}"] if wait else []), "--dump-dom", page],
        capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout


def evaluated(source: str, expression: str, width: int, folder: Path) -> Any:
    """The value of a JavaScript expression in a page of this source."""
    script = f"""<script>addEventListener("load", () => {{
        const found = document.createElement("pre"); found.id = "found";
        found.textContent = JSON.stringify({expression}); document.body.append(found) }})</script>"""
    page = folder / "page.html"
    page.write_text(source.replace("</body>", f"{script}</body>"), encoding="utf-8", errors="replace")
    found = FOUND.search(opened(page.as_uri(), width))
    assert found
    return json.loads(html.unescape(found[1]))
