"""Running compiled programs: executables, and the dispatch behind `jit`."""
