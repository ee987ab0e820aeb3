"""The tests mirror the source folders; the other folders test what no single source file answers for."""
