// The first minutes with the server, in the languages of those who call it.
export const QUICK_STARTS = [
  { title: "Web", code: `import { io } from "socket.io-client";

const socket = io("SERVER", { auth: { token } });
socket.on("connect", async () => {
  const joined = await socket.emitWithAck("room:join", {});
  const seat = await socket.emitWithAck("seat:take", { index: -1, cid: crypto.randomUUID() });
});
socket.on("chat:message", (body) => console.log(body.user.name, body.text));` },
  { title: "Kotlin (Android)", code: `val options = IO.Options.builder().setAuth(mapOf("token" to token)).build()
val socket = IO.socket("SERVER", options)
var epoch: String? = null
var seq = 0L
socket.on(Socket.EVENT_CONNECT) {
  val join = JSONObject().apply { if (epoch != null) { put("epoch", epoch); put("last_seq", seq) } }
  socket.emit("room:join", arrayOf(join)) { answer ->
    val data = (answer[0] as JSONObject).getJSONObject("data")
    epoch = data.getString("epoch"); seq = data.getLong("seq")
  }
}
socket.on("chat:message") { seq = (it[0] as JSONObject).getLong("seq") }
socket.connect()` },
  { title: "Swift (iOS)", code: `let manager = SocketManager(socketURL: URL(string: "SERVER")!, config: [.forceWebsockets(true)])
let socket = manager.defaultSocket
socket.on(clientEvent: .connect) { _, _ in
  socket.emitWithAck("room:join", [String: Any]()).timingOut(after: 8) { answer in print(answer) }
}
socket.on("seat:changed") { data, _ in print(data[0]) }
socket.connect(withPayload: ["token": token])` },
  { title: "PHP (Laravel)", code: `$room = Http::withToken(config('services.flylive.key'))
    ->post('SERVER/v1/rooms', ['room_id' => 'lounge', 'name' => 'Lounge', 'owner_id' => 'u1'])->throw();
$token = Http::withToken(config('services.flylive.key'))
    ->post('SERVER/v1/rooms/lounge/tokens', ['user_id' => 'u1', 'role' => 'owner'])->json('data.token');
$gift = Http::withToken(config('services.flylive.key'))->withHeaders(['Idempotency-Key' => (string) Str::uuid()])
    ->post('SERVER/v1/rooms/lounge/gifts', ['sender_id' => 'u2', 'gift_id' => 'rose', 'quantity' => 1, 'recipients' => ['u1']]);` },
  { title: "locust", code: `flylive scenario --list
flylive scenario chat --url SERVER --html report.html
flylive record --room lounge --out evening.jsonl
flylive replay evening.jsonl --speed 4x --clone 10 --check` },
];
