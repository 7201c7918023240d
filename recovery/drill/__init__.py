"""A drill on AWS: an action carried out for practice, while clients pay, and a report of what those clients saw.

Before a failover the active region is broken by what AWS allows (`outage`). What was there before is in the table
(`record`) before anything is changed, so that anybody can restore what a drill has left broken.
"""
from recovery.drill.drill import DURATION, Drill
from recovery.drill.outage import RESTORE, DrillTargets, SavedState
from recovery.drill.preflight import default_target, drill_refusals, warning
from recovery.drill.record import restore
from recovery.drill.report import DrillReport

__all__ = ["DURATION", "RESTORE", "Drill", "DrillReport", "DrillTargets", "SavedState", "default_target",
           "drill_refusals", "restore", "warning"]
