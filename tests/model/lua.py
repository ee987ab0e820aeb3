"""The kernel's scripts, run by the Lua that servers embed, over the model's commands.

Conversions are the server's: nil is false inside a script, a table ends at its first nil, numbers lose what
stands behind the point, `{ok = text}` is a status and `{err = text}` an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

from lupa import lua51

from tests.model.database import CommandError

Call = Callable[[Sequence[bytes]], Any]
_FRAME = """
function(call, error_reply, source)
  local redis = { call = call, error_reply = error_reply }
  redis.status_reply = function(text) return { ok = text } end
  local chunk = assert(loadstring('local redis, KEYS, ARGV = ... ' .. source))
  local function laid_out(value)
    if type(value) ~= 'table' or value.ok or value.err then return false, 1, value end
    return true, #value, unpack(value)
  end
  return function(keys, arguments) return laid_out(chunk(redis, keys, arguments)) end
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
            is_list, _count, *parts = function(self._table(list(keys)), self._table(list(arguments)))
        except lua51.LuaError as error:
            raise CommandError(f"ERR script {name}: {error}") from error
        replies = [self._reply(part) for part in takewhile(_is_something, parts)]
        return replies if is_list else replies[0] if replies else None

    def _command(self, *words: Any) -> Any:
        return self._inside(self._call([word if type(word) is bytes else _digits(word) for word in words]))

    def _error(self, text: bytes) -> Any:
        return self._table({b"err": text})

    def _inside(self, reply: Any) -> Any:
        """A reply as a script sees it."""
        if type(reply) is list:
            inside = self._inside
            return self._table([part if type(part) is bytes else inside(part) for part in reply])
        if reply is None:
            return False
        return self._table({b"ok": b"OK"}) if reply is True else reply

    def _reply(self, value: Any) -> Any:
        """What a script returned, as a client sees it."""
        if type(value) is bytes:
            return value
        if value is False:
            return None
        if isinstance(value, (int, float)):
            return int(value)
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


def _is_something(part: Any) -> bool:
    return part is not None


def _digits(word: int | float) -> bytes:
    if isinstance(word, float):
        return b"%d" % word if word == int(word) else b"%.17g" % word
    return b"%d" % word
