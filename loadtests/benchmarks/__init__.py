"""Benchmarks: one module per subject, each run by `flylive bench NAME`.

A module in this package is a benchmark when it declares

    NAME      what the command line calls it
    MEASURES  one line: what is measured
    LIMITS    {figure name: at_most(bound) | at_least(bound)}
    REPEATS   runs per figure, where it is not the usual three
    async def run(options: Options) -> Report

and nothing else needs to know of it. Servers are started as processes (`processes.py`), peers take their
turns in the same run (`figures.in_turn`), and every figure is a median of several runs.
"""
