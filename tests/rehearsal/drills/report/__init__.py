"""Tests of rehearsal/drills/report."""
