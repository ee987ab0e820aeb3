"""Audio: media workers that forward RTP, their signalling, and which worker a room is placed on.

Imports `state` only.
"""
