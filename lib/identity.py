"""The settings that a stack was deployed with: kept in its state, and read from there before anything is planned."""
import pulumi

from contract import PROJECT
from lib.component import Component
from lib.errors import ProgramError


class DeployedStack(Component, type_name="DeployedStack"):
    """The fixed settings of the stack by key, which its state keeps as the outputs of this component.

    It is registered before everything else, with a name that no setting decides, and its outputs as soon as the
    settings are accepted: a first deployment that fails leaves them, too.
    """

    def __init__(self, *, protect: bool) -> None:
        """Raises ProgramError in a project that has another name."""
        project = pulumi.get_project()
        if project != PROJECT:
            raise ProgramError(f"Pulumi.yaml: name = {project!r}: must be {PROJECT}, or no setting would be found")
        super().__init__("deployed", pulumi.ResourceOptions(protect=protect))
