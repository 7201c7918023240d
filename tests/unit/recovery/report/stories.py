"""A story with everything in it, for the tests of timelines and pages."""
from contract import Phase
from recovery.report.model import PhaseTime, RecoveryTime, RequestMark, Story, TimelineEvent

EAST, WEST = "us-east-1", "us-west-2"


def requests(count: int, span: float = 20.0) -> list[RequestMark]:
    """`count` requests, evenly spread: those of the second quarter fail, the second half goes to the other region."""
    moments = [span * number / count for number in range(count)]
    return [RequestMark(at_s=at, ok=not span / 4 < at < span / 2, region=EAST if at < span / 2 else WEST)
            for at in moments]


STORY = Story(
    title="The primary region is lost", requests=requests(400),
    recovery=RecoveryTime(at_s=5.0, wall_s=6.41, full_s=43.2, overhead_s=1.37, split=[
        PhaseTime(phase=Phase.DETECT, wall_s=3.03, full_s=30.3),
        PhaseTime(phase=Phase.DECIDE, wall_s=0.11, full_s=0.61),
        PhaseTime(phase=Phase.FENCE, wall_s=1.02, full_s=1.04),
        PhaseTime(phase=Phase.PROMOTE, wall_s=1.51, full_s=1.52),
        PhaseTime(phase=Phase.DNS, wall_s=0.71, full_s=7.1),
        PhaseTime(phase=Phase.FIRST_WRITE, wall_s=0.03, full_s=0.04)]),
    events=[TimelineEvent(at_s=4.95, lane="fault", what="us-east-1 cut off"),
            TimelineEvent(at_s=8.0, lane="health", what="unhealthy"),
            TimelineEvent(at_s=8.2, lane="plan", what="promote"),
            TimelineEvent(at_s=9.0, lane="dns", what="us-west-2"),
            TimelineEvent(at_s=5.0, lane="client", what="first failed write")])
