"""Tests of funcgrad.ops."""
