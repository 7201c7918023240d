"""Tests of rehearsal/drills/emulated."""
