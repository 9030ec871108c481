"""Losses of predictions against labels."""
