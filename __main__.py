"""What `pulumi up` runs."""
import pulumi

from lib.identity import deployed_as
from lib.settings import Settings
from lib.tap_stack import TapStack

deployed = deployed_as()
settings = Settings.load(deployed.settings)
stack = TapStack(f"tap-{settings.environment_suffix}", settings, has_writer=deployed.has_writer)
for key, value in stack.outputs.items():
    pulumi.export(key, value)
