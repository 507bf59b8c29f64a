"""The load generator and the side-by-side comparison with other servers; see docs/how-to/benchmark.md."""
