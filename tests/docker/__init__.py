"""The container files, checked as far as that goes without a container engine."""
