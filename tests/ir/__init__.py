"""Tests of funcgrad.ir."""
