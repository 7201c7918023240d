"""Tests of lib/shared."""
