"""Tests of rehearsal/workload."""
