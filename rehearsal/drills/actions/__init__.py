"""The actions of scenarios, one function for each verb. Importing this package fills the registry.

To add a verb, add a function to one of the modules, as `registry` says. That is the only place to change.
"""

from rehearsal.drills.actions import checks, faults, payments, recovery
from rehearsal.drills.actions.registry import ACTIONS, ScenarioAction, parse

__all__ = ["ACTIONS", "ScenarioAction", "checks", "faults", "parse", "payments", "recovery"]
