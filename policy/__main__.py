"""The policy pack's entry: Pulumi starts it by its folder, and so without the project's packages."""
import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
runpy.run_module("policy.pack", run_name="__main__")
