"""Tests of funcgrad.control."""
