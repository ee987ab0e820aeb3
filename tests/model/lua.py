"""The kernel's scripts, run by the Lua that servers embed, over the model's commands.

Conversions are the server's: nil is false inside a script, a table ends at its first nil, numbers lose what
stands behind the point, `{ok = text}` is a status and `{err = text}` an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lupa import lua51

from tests.model.database import CommandError

Call = Callable[[Sequence[bytes]], Any]
_FRAME = """
function(call, error_reply, source)
  local redis = { call = call, error_reply = error_reply }
  redis.status_reply = function(text) return { ok = text } end
  local chunk = assert(loadstring('local redis, KEYS, ARGV = ... ' .. source))
  return function(keys, arguments) return chunk(redis, keys, arguments) end
end
"""


class LuaScripts:
    """Scripts by name, over one way of calling commands."""

    def __init__(self, sources: dict[str, str], call: Call) -> None:
        self._runtime = lua51.LuaRuntime(encoding=None, register_eval=False, unpack_returned_tuples=True)
        self._call = call
        self._table = self._runtime.table_from
        frame = self._runtime.eval(_FRAME.encode())
        self._functions = {
            name: frame(self._command, self._error, source.encode()) for name, source in sources.items()
        }

    def run(self, name: str, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
        function = self._functions[name]
        try:
            return self._reply(function(self._table(list(keys)), self._table(list(arguments))))
        except lua51.LuaError as error:
            raise CommandError(f"ERR script {name}: {error}") from error

    def _command(self, *words: Any) -> Any:
        return self._inside(self._call([_bytes(word) for word in words]))

    def _error(self, text: bytes) -> Any:
        return self._table({b"err": text})

    def _inside(self, reply: Any) -> Any:
        """A reply as a script sees it."""
        if reply is None:
            return False
        if reply is True:
            return self._table({b"ok": b"OK"})
        if isinstance(reply, list):
            return self._table([self._inside(part) for part in reply])
        return reply

    def _reply(self, value: Any) -> Any:
        """What a script returned, as a client sees it."""
        if value is None or value is False:
            return None
        if value is True:
            return 1
        if isinstance(value, (int, float)):
            return int(value)
        if isinstance(value, bytes):
            return value
        if value[b"err"] is not None:
            raise CommandError(value[b"err"].decode())
        if value[b"ok"] is not None:
            return value[b"ok"]
        parts = []
        index = 1
        while (part := value[index]) is not None:
            parts.append(self._reply(part))
            index += 1
        return parts


def _bytes(word: Any) -> bytes:
    if isinstance(word, bytes):
        return word
    if isinstance(word, float):
        return b"%d" % word if word == int(word) else b"%.17g" % word
    return b"%d" % word
