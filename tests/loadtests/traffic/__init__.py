"""Tests of scenarios and behaviours."""
