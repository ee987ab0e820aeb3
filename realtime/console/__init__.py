"""What an operator's console needs from a node, beside what REST already tells.

figures.py     what a node tells of itself
part.py        every node's figures, told to Redis and read back from it; the routes
links.py       one-time links, that an operator needs no key
recordings.py  a room's traffic, recorded while the operator watches
answers.py     the envelope
"""
