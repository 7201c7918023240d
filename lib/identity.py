"""What a stack was deployed as: kept in its state, and read from there before anything is planned.

The state is where Pulumi keeps it, so reading it calls neither region.
"""
from collections.abc import Mapping

import pulumi

from contract import PROJECT
from lib.errors import ProgramError

TYPE = "tapstack:index:TapStack"
READ_STATE = "pulumi:pulumi:readStackResourceOutputs"  # what a StackReference of all resources would read


def deployed_as() -> Mapping[str, str]:
    """The fixed settings with which this stack was deployed, by key; empty before its first deployment.

    They are the outputs of the component `TapStack`, which is registered before anything is created: a first
    deployment that fails leaves them, too. Raises ProgramError in a project that has another name.
    """
    project = pulumi.get_project()
    if project != PROJECT:
        raise ProgramError(f"Pulumi.yaml: name = {project!r}: must be {PROJECT}, or no setting would be found")
    stack = f"{pulumi.get_organization()}/{project}/{pulumi.get_stack()}"
    state = pulumi.runtime.invoke(READ_STATE, {"stackName": stack}).value["outputs"]
    return next((each["outputs"] for each in state.values() if each["type"] == TYPE), {})
