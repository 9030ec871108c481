"""Tests of funcgrad.nn."""
