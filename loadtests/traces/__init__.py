"""Recorded traffic: write it down without names, play it again at any speed and width, compare.

format.py      the lines of a trace file, reading and writing, the digest
pseudonyms.py  ids become aliases, texts become other texts of the same length
recording.py   `flylive record`: from a node's tap to a file
plan.py        from a file to what has to be done, in order, per room
names.py       aliases of the trace <-> ids of this replay, learnt from acks
stage.py       the rooms, users and money a replay needs
actor.py       one client of the trace, playing its deeds in their order
replay.py      plays the plan of a room: open loop, or in order with comparison
performance.py a whole replay: copies of all rooms at once, judged
comparison.py  are two acks, two rooms the same?
command.py     the command lines
"""
