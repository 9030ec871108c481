"""`user_code.py` is read by type checkers, and imported by nobody."""

collect_ignore = ["user_code.py"]
