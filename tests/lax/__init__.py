"""Tests of funcgrad.lax."""
