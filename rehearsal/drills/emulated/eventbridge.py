"""EventBridge, which starts each region's controller every minute: the emulator knows no cut and no faster clock."""

import json
import uuid
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contract import ALIAS, EMULATED_ACCOUNT, WATCH_SECONDS
from payments.clock import SYSTEM, Clock, utc_now
from rehearsal.aws.faults import SERVICES, ApiCall
from rehearsal.drills.emulated.periodic import PeriodicTask
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.workload.region import RegionClient


def controller_schedule(rehearsed: RehearsedStack, factor: float = 1.0, clock: Clock = SYSTEM) -> list[PeriodicTask]:
    """Tasks that start the regions' controllers every WATCH_SECONDS, divided by `factor`.

    A region's schedule is in the region: while that cannot reach itself, or its functions are lost, there is no start,
    and that is no error. A start that fails is not repeated: the next one comes. The rules themselves are disabled in
    the emulator, which knows only real minutes.
    """
    def start(region: RegionClient, client: Any) -> None:
        call = ApiCall(region.name, region.name, SERVICES["function"], "Invoke")
        if rehearsed.faults.refusal(call):  # not even tried: a call that hangs would delay the next turns
            return
        event = {"version": "0", "id": str(uuid.uuid4()), "detail-type": "Scheduled Event", "source": "aws.events",
                 "account": EMULATED_ACCOUNT, "time": f"{utc_now(clock):%Y-%m-%dT%H:%M:%SZ}", "region": region.name,
                 "resources": [], "detail": {}}
        try:
            client.invoke(FunctionName=rehearsed.outputs[f"{region.role}_controller_function_name"], Qualifier=ALIAS,
                          InvocationType="Event", Payload=json.dumps(event).encode())
        except (ClientError, BotoCoreError):
            if not rehearsed.faults.refusal(call):
                raise

    return [PeriodicTask(f"schedule of {region.name}", WATCH_SECONDS / factor,
                         partial(start, region, rehearsed.clients_in(region)("lambda", region.name)))
            for region in rehearsed.writer_and_standby()]
