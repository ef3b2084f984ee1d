"""Metrics, baselines, tables and the report."""
