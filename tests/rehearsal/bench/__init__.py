"""Tests of rehearsal/bench."""
