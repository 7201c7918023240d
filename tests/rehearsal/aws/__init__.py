"""Tests of rehearsal/aws."""
