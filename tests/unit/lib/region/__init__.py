"""Tests of lib/region."""
