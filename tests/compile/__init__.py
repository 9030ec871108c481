"""Tests of `funcgrad.compile`."""
