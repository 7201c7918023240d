"""Tests of rehearsal/postgres."""
