"""Tests of funcgrad.transform."""
