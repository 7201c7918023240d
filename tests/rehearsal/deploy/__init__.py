"""Tests of rehearsal/deploy."""
