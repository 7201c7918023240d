"""The lag of copies between regions, as the rehearsal sets it and reads it; `ministack` makes the copies."""

import json
from dataclasses import asdict
from typing import Any

import httpx

from contract import Store
from rehearsal.aws.clients import plain_http
from rehearsal.aws.faults import Cut, CutConnection, Destroy, Fault, Faults, Heal, Lag, Lose
from rehearsal.aws.ministack import PATH
from rehearsal.errors import NoAnswer

TIMEOUT = 10.0  # seconds


class ReplicationControl:
    """Controls the copies of an emulator that `ministack` runs. `endpoint` is the emulator's own, not a proxy's.

    It carries out the faults that concern the table and the receipts. Without a lag a copy is there for the next
    request. `transport` carries the requests, by default over sockets.
    """

    def __init__(self, endpoint: str, faults: Faults, transport: httpx.BaseTransport | None = None) -> None:
        self._url, self._faults = endpoint + PATH, faults
        self._http = plain_http(timeout=TIMEOUT, transport=transport, limits=httpx.Limits(max_keepalive_connections=0))
        faults.listen(self._carry_out)

    def report(self) -> list[dict[str, Any]]:
        """Each store and direction that was used or set.

        {store, source, target, lag_ms: age of the oldest write that is not copied, waiting: keys of the items or
        objects that are not copied}
        """
        return self._send()

    def _carry_out(self, fault: Fault) -> None:
        match fault:
            case Lag(store=Store.TABLE | Store.RECEIPTS):
                # Python's JSON can express infinity, for a lag that never ends.
                self._send(lag=asdict(fault))
            case Destroy():
                self._send(destroy=fault.region)
            case Cut() | CutConnection() | Lose() | Heal():
                self._send(cut=self._faults.cut_off(), connection_cut=self._faults.connection_cut,
                           lost=self._faults.lost())
            case _:
                pass

    def _send(self, **settings: object) -> list[dict[str, Any]]:
        try:
            response = self._http.post(self._url, content=json.dumps(settings)).raise_for_status()
        except httpx.HTTPError as error:
            raise NoAnswer(f"{self._url}: {type(error).__name__}") from error
        report: list[dict[str, Any]] = response.json()
        return report
