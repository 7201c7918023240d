"""The page of `watch --web` in a browser: it shows what was published last, and scrolls nowhere sideways."""
import json
from typing import Any

import pytest

from recovery.watch import Watch
from recovery.web import Feed, serving
from tests.browser.chromium import Browser
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld


@pytest.fixture(scope="module")
def document() -> Any:
    """What a watch says of a lost region, with the payments of a sandbox's client."""
    world = CalmWorld(automatic=False)
    world.look(times=3)
    watch = Watch(environment=world.recovery(), stack=world.stack)
    world.run_task(watch.look)
    world.cut_off(EAST)
    found = world.run_task(watch.look)
    payments = [{"at": found["at"], "ok": number % 3 > 0, "region": EAST} for number in range(120)]
    return {**found, "payments": payments}


@pytest.mark.parametrize("width", [500, 1400])
def test_the_page_shows_the_stack_and_what_changes(chromium: Browser, document: Any, width: int) -> None:
    feed = Feed()
    with serving(feed) as url:
        chromium.open(url, width)
        feed.publish(json.dumps(document))
        chromium.wait('document.title.startsWith("✗ no region takes payments")')
        page = chromium.value("document.body.innerText")
        for text in (f"no region takes payments: {EAST} leads, and has not answered since", f"failover --to {WEST}",
                     f"{EAST} answers: no", f"{EAST} (primary) leads", "of the last 120 sent, 80 were accepted",
                     "a failover to here now", "would begin", "has the database's writer"):
            assert text in page
        assert chromium.value('document.querySelectorAll("#payments .bad").length') == 40
        assert chromium.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        verdict = {"paying": True, "says": "<b>all is well</b>", "run": ""}
        feed.publish(json.dumps({**document, "payments": None, "status": {**document["status"], "verdict": verdict}}))
        chromium.wait('document.getElementById("verdict").textContent === "<b>all is well</b>"')
        assert chromium.value('document.getElementById("client").hidden') is True
