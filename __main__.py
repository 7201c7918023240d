"""What `pulumi up` runs."""
import pulumi

from lib.identity import DeployedStack
from lib.settings import Settings
from lib.tap_stack import TapStack

deployed = DeployedStack(protect=Settings.protection())
settings = Settings.load(deployed.earlier_outputs())
stack = TapStack(f"tap-{settings.environment_suffix}", settings, deployed)
for key, value in stack.outputs.items():
    pulumi.export(key, value)
