"""The lag of copies between regions, as the rehearsal sets it and reads it (`lagging` is the other end)."""

import json
import urllib.request
from typing import Any

from rehearsal.aws.faults import Faults
from rehearsal.aws.ministack import PATH, CopyLag

TIMEOUT = 10.0  # seconds


class ReplicationControl:
    """The copies of an emulator that `lagging` runs, which is at `endpoint` itself and not behind a relay.

    A store is `lagging.TABLE` or `lagging.RECEIPTS`. Without a lag copies are there for the next request.
    """

    def __init__(self, endpoint: str, faults: Faults) -> None:
        self._url, self._faults = endpoint + PATH, faults
        faults.listen(self._follow)

    def lag(self, store: str, source: str, target: str, lag: CopyLag) -> None:
        """Let the copies of a store in one direction lag like this from now on."""
        self._send(lag={"store": store, "source": source, "target": target,
                        "seconds": lag.seconds, "growth": lag.growth})

    def destroy(self, region: str) -> list[dict[str, Any]]:
        """Let a region never come back: what it has not copied is lost, and named in the report that this gives."""
        return self._send(destroy=region)

    def round_trip(self, milliseconds: float) -> None:
        """Let writes of one item in two regions conflict within this time, under strong consistency; 0: never."""
        self._send(round_trip=milliseconds / 1000)

    def report(self) -> list[dict[str, Any]]:
        """Each store and direction that was used or set.

        {store, source, target, seconds, growth: the setting, lag_ms: age of the oldest write that is not copied,
        waiting: keys of the items or objects that are not copied, made: count of copies, overruled: count of those
        without effect since the target had a later write, lost: keys of what never was copied}
        """
        return self._send()

    def _follow(self) -> None:
        self._send(cut=self._faults.cut_off(), lost=self._faults.lost())

    def _send(self, **settings: object) -> list[dict[str, Any]]:
        with urllib.request.urlopen(self._url, json.dumps(settings).encode(), timeout=TIMEOUT) as answer:
            report: list[dict[str, Any]] = json.load(answer)
        return report
