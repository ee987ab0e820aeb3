"""What a run leaves behind: a table that lives while it runs, one HTML page, CSV, JSON and JUnit.

Every form is made of the same `summary.py` document, so that they cannot disagree.
"""
