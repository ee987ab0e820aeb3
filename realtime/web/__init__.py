"""The pages that the node serves: the room, the console and the documentation.

Holds the static files (plain ES modules; `static/vendor` is built from pinned npm packages by
`bundle/build`), the routes that serve them, and what only pages need: join links, QR codes, visitors of a
development server. May import `state`.
"""
