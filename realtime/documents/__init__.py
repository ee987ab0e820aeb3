"""What the running code says of itself: AsyncAPI, TypeScript types and the tables of the documentation page.

Everything here is derived from `state` when the node starts; nothing is written by hand twice. May import
`state`.
"""
