"""A drill on AWS: an action carried out for practice, while clients pay, and a report of what those clients saw.

Before a failover the active region is broken by what AWS allows (`outage`). What was there before is in the table
(`record`) before anything is changed, so that anybody can restore what a drill has left broken.
"""
from recovery.drill.drill import DURATION, Drill
from recovery.drill.outage import RESTORE, DrillTargets, SavedState
from recovery.drill.preflight import drill_refusals, plan_drill, warning
from recovery.drill.record import restore

__all__ = ["DURATION", "RESTORE", "Drill", "DrillTargets", "SavedState", "drill_refusals", "plan_drill", "restore",
           "warning"]
