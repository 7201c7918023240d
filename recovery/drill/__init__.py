"""A drill on AWS: an action carried out for practice, while clients pay, and a report of what those clients saw.

Before a failover the active region is broken by the means that AWS offers (`outage`). Its state is stored in the table
first, so that anyone can restore what a drill has left broken.
"""
from recovery.drill.drill import DURATION, Drill, drill_refusals, plan_drill, warning
from recovery.drill.outage import RESTORE, DrillTargets, SavedState, restore
from recovery.drill.report import DrillReport

__all__ = ["DURATION", "RESTORE", "Drill", "DrillReport", "DrillTargets", "SavedState", "drill_refusals", "plan_drill",
           "restore", "warning"]
