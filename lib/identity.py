"""What a stack was deployed as: kept in its state, and read from there before anything is planned.

The state is where Pulumi keeps it, so reading it calls neither region.
"""
from collections.abc import Mapping
from typing import Any, NamedTuple

import pulumi

from contract import PROJECT
from lib.errors import ProgramError

TYPE = "tapstack:index:TapStack"
FIRST_CLUSTER = ":Cluster::", "-primary-database-cluster"  # in the URN of the cluster that starts as the writer
READ_STATE = "pulumi:pulumi:readStackResourceOutputs"  # what a StackReference of all resources would read


class StackState(NamedTuple):
    """What the state says of a stack: its fixed settings by key, and whether the database has its first cluster.

    A stack that was never deployed has neither.
    """

    settings: Mapping[str, str]
    has_writer: bool


def deployed_as() -> StackState:
    """What this stack was deployed as.

    The fixed settings are the outputs of the component `TapStack`, which is registered before anything is created: a
    first deployment that fails leaves them, too. Raises ProgramError in a project that has another name.
    """
    project = pulumi.get_project()
    if project != PROJECT:
        raise ProgramError(f"Pulumi.yaml: name = {project!r}: must be {PROJECT}, or no setting would be found")
    stack = f"{pulumi.get_organization()}/{project}/{pulumi.get_stack()}"
    state: Mapping[str, Mapping[str, Any]] = pulumi.runtime.invoke(READ_STATE, {"stackName": stack}).value["outputs"]
    return StackState(settings=next((each["outputs"] for each in state.values() if each["type"] == TYPE), {}),
                    has_writer=any(all(part in urn for part in FIRST_CLUSTER) for urn in state))
