"""What `pulumi up` runs."""
import pulumi

from lib.identity import deployed_as
from lib.settings import Settings
from lib.tap_stack import TapStack

settings = Settings.load(deployed_as())
stack = TapStack(f"tap-{settings.environment_suffix}", settings)
for key, value in stack.outputs.items():
    pulumi.export(key, value)
