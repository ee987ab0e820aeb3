"""The generated types compile, fit a client that uses them well, and catch one that does not."""

import subprocess
from pathlib import Path

import pytest

from realtime.documents.asyncapi import asyncapi
from realtime.documents.typescript import type_of, typescript
from tests.tools import node, node_modules

GOOD_CLIENT = """
import type { Ack, Commands, Events, FlyLiveSocket } from "./flylive";
declare const socket: FlyLiveSocket;
export async function visit(): Promise<string> {
  const join: Commands["room:join"] = { epoch: "e1", last_seq: 4 };
  const ack: Ack = await socket.emitWithAck("room:join", join);
  if (!ack.ok) return ack.error.code;
  await socket.emitWithAck("seat:take", { index: -1, cid: "c1" });
  await socket.emitWithAck("seat:lock", { index: "all", locked: true });
  socket.on("chat:message", (body: Events["chat:message"]) => {
    const text: string = body.text;
    const seq: number = body.seq;
    void [text, seq];
  });
  socket.on("seat:changed", ({ seats }) => seats.map((seat) => seat.user?.name ?? seat.index));
  socket.on("audio:levels", ({ levels, active }) => void [levels[0][1] + 1, active]);
  return "";
}
"""
BAD_CLIENTS = {
    "an unknown command": 'socket.emitWithAck("seat:steal", { index: 1 });',
    "a wrong type": 'socket.emitWithAck("seat:take", { index: "1" });',
    "an unknown field": 'socket.emitWithAck("seat:take", { index: 1, seat: 2 });',
    "a number that the lossy lane has not": 'socket.on("audio:levels", (body) => body.seq);',
}


def _compile(folder: Path, client: str) -> subprocess.CompletedProcess[str]:
    (folder / "flylive.d.ts").write_text(typescript(asyncapi("1.0.0")), encoding="utf-8")
    (folder / "client.ts").write_text(client, encoding="utf-8")
    compiler = node_modules() / "typescript" / "bin" / "tsc"
    options = [
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
    ]
    return subprocess.run(
        [str(node()), str(compiler), *options, "client.ts"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_client_of_the_contract_compiles(tmp_path: Path) -> None:
    done = _compile(tmp_path, GOOD_CLIENT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("mistake", BAD_CLIENTS)
def test_a_mistake_is_caught(tmp_path: Path, mistake: str) -> None:
    head = 'import type { FlyLiveSocket } from "./flylive";\ndeclare const socket: FlyLiveSocket;\n'
    done = _compile(tmp_path, head + BAD_CLIENTS[mistake])
    assert done.returncode != 0
    assert "client.ts" in done.stdout


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"enum": ["a", "b"]}, '"a" | "b"'),
        ({"type": "array", "items": {"type": "boolean"}}, "Array<boolean>"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, "[string, number]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Record<string, number>"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"$ref": "#/components/schemas/Seat"}, "Seat"),
        ({"const": True}, "true"),
        ({}, "unknown"),
    ],
)
def test_each_kind_of_schema_has_its_type(schema: dict[str, object], expected: str) -> None:
    assert type_of(schema) == expected
