"""From Python functions to programs: frames, tracers, and the builder of programs."""
