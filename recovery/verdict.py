"""The verdict that `status` opens with: whether a region takes payments, and what to do now. Nothing here calls AWS."""
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from recovery.plan import COMMAND, describe_exposure

UNKNOWN = "unknown"
PRIMARY = "primary"

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether a region takes payments (None: unknown), the state in a sentence, and the next command, if any."""

    paying: bool | None
    says: str
    run: str = ""

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"paying": self.paying, "says": self.says, "run": self.run}

    def __str__(self) -> str:
        return f"{self.says}: run `{self.run}`" if self.run else self.says


def judge(status: Report) -> Verdict:
    """The verdict on what `read_status` found."""
    leader, regions = status["active"], status["regions"]
    if leader not in regions:
        says = "no region says which one leads" if leader == UNKNOWN else (
            f"{leader} leads, which is no region of this stack")
        return Verdict(None, f"{says}, so it is unknown whether payments are taken", f"{COMMAND} doctor")
    other = next(name for name in regions if name != leader)
    own, standby = regions[leader], regions[other]
    paying = own["alive"] is True and own["ready"] is True
    run = status["run"]
    under_way = isinstance(run, Mapping) and run["ended"] is None
    if under_way and run["epoch"]:
        state = f"{leader} takes payments" if paying else "no region takes payments"
        return Verdict(paying, f"{state}; {run['action']} to {run['target']} by {run['driver']} is under way; if "
                       "the process that drives it has died", _command(run["action"], run["target"]))
    if paying:
        return _paying(status, leader, other)
    doubt = _doubt(own, standby, leader, other)
    if doubt:
        return Verdict(None, doubt, f"{COMMAND} status")
    wrong = f"no region takes payments: {leader} leads, and {_wrong(own, standby)}"
    if status["writer"] == other and standby["alive"] is True:
        unable = f" and cannot lead ({standby['why']})" if standby["ready"] is False else ""
        return Verdict(False, f"{wrong}; {other} has the database's writer{unable}",
                       _command("plan failover", leader) if unable else _command("align", other))
    return Verdict(False, f"{wrong}; {_could(other, standby)}",
                   _command("plan failover" if _obstacle(other, standby) else "failover", other))


def _paying(status: Report, leader: str, other: str) -> Verdict:
    regions, drill = status["regions"], status["drill"]
    says = f"{leader} takes payments"
    led_to = regions[leader]["led_to"]
    if led_to not in (None, "", UNKNOWN, leader):
        return Verdict(True, f"{says}, and Route 53 sends clients to {led_to}: the controller of {leader} pulls its "
                       "lever")
    if isinstance(drill, Mapping) and drill["broken"]:
        return Verdict(True, f"{says}; a drill has left {drill['broken']['region']} broken", f"{COMMAND} drill restore")
    could = _could(other, regions[other])
    if regions[leader]["role"] != PRIMARY and regions[other]["alive"] is True:
        return Verdict(True, f"{says}; {could}. To move back when it suits you", f"{COMMAND} failback")
    return Verdict(True, f"{says}; {could}")


def _doubt(own: Report, standby: Report, leader: str, other: str) -> str:
    """Why it is unknown whether the leader takes payments; empty if it is not."""
    if own["alive"] is False and standby["sees"] is True and not standby["stale"]:
        return (f"{leader} does not answer from here ({own['why']}), but it answered the last look of {other}'s "
                "controller: either only your connection to it is cut, or it has just failed")
    if own["alive"] is not False and own["ready"] is not False:
        return f"it is unknown whether {leader} takes payments: {own['why'] or own['unknown'].get('API', 'no answer')}"
    return ""


def _wrong(own: Report, standby: Report) -> str:
    since = standby["silent_since"]
    if own["alive"] is not False:
        return f"cannot take them ({own['why']})"
    if isinstance(since, float):
        return f"has not answered since {datetime.fromtimestamp(since, UTC):%H:%M} UTC"
    return f"does not answer ({own['why']})"


def _obstacle(region: str, standby: Report) -> str:
    """Why a region could not take over, as far as is known; empty if it could."""
    if standby["alive"] is False:
        return f"{region} cannot take over: its API does not answer ({standby['why']})"
    if standby["stale"] is not False:
        return f"it is unknown whether {region} could take over: its controller does not report"
    if standby["refused"]:
        return f"a failover to {region} would be refused: {'; '.join(standby['refused'])}"
    return ""


def _could(region: str, standby: Report) -> str:
    """Whether a region could take over, and what would be lost."""
    exposure = standby["exposure_s"]
    return _obstacle(region, standby) or (
        f"{region} can take over; {describe_exposure(exposure if isinstance(exposure, float) else None)}")


def _command(action: str, region: str) -> str:
    return f"{COMMAND} {action}" + ("" if action == "failback" else f" --to {region}")
