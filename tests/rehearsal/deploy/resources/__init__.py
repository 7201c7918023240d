"""Tests of rehearsal/deploy/resources."""
