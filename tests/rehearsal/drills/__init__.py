"""Tests of rehearsal/drills."""
