"""Tests of the actions of scenarios."""
