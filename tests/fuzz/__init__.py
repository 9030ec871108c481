"""Do random programs mean the same in every way in which they can be run?  ``python -m tests.fuzz --programs 1000``."""
