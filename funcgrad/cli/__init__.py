"""What does ``python -m funcgrad`` do?  A module for each command."""
