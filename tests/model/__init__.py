"""A model of the server behind the kernel: its commands in Python, the kernel's real scripts in real Lua.

The model is the memory twin of `state.server.Server`. Because the scripts are the shipped files, run by a Lua
of the same version as the server's, a mistake in one of them is a mistake here too. Time is an argument, data
can be copied and put back, and nothing waits: the simulation builds restarts, failovers and lost tails of it.
"""
