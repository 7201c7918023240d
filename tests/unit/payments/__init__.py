"""Tests of the payments function."""
