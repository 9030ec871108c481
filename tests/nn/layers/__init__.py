"""Tests of funcgrad.nn.layers."""
