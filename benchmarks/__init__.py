"""How fast is funcgrad beside its peers on this machine?  Run ``python -m benchmarks``; see docs/benchmarks.md."""
