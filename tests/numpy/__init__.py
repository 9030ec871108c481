"""Tests of funcgrad.numpy."""
