"""What `pulumi up` runs."""
import signal
import threading

# Pulumi interrupts the program once it has said what failed: no traceback of that. In a rehearsal it is a mere thread.
try:
    import pulumi

    from lib.identity import DeployedStack
    from lib.settings import Settings
    from lib.tap_stack import TapStack
except KeyboardInterrupt:
    raise SystemExit(130) from None
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
deployed = DeployedStack(protect=Settings.protection())
settings = Settings.load(deployed.earlier_outputs())
stack = TapStack(f"tap-{settings.environment_suffix}", settings, deployed)
for key, value in stack.outputs.items():
    pulumi.export(key, value)
