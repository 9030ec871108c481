"""Tests of funcgrad.trace."""
