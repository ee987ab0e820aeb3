// The room page: draws the room that the client keeps, and turns taps into commands.
import { html, useEffect, useMemo, useReducer, useRef, useState } from "../vendor/ui.js";
import { Chat, ChatBox } from "./chat.js";
import { Combos, Flights, GiftSheet, signOf } from "./gifts.js";
import { Menu, messageChoices, moderates, personChoices, seatChoices } from "./menus.js";
import { mine } from "./room.js";
import { Seats } from "./seats.js";
import { Invite, People, Requests, Settings, Share } from "./sheets.js";
import { Sound } from "./sound.js";

const FLIGHT_MS = 2600;
const LATE_MS = 10000;
const NOTICES_KEPT = 50;
const QUALITY_EVERY_MS = 3000;

// What lives beside the room's own state: levels, notices of what happened, gifts in flight, money, the clock.
class Surroundings {
  constructor(client, texts, redraw) {
    Object.assign(this, { client, texts, redraw, levels: new Map(), sitters: new Map(), announced: "", notices: [], flights: [], wallet: null, catalogue: [], offset: 0, toast: null, serial: 0 });
  }

  clock = () => Date.now() + this.offset;

  async load() {
    const before = Date.now();
    const { t1, t2 } = await this.client.command("sys:time", { t0: before });
    this.offset = Math.round((t1 + t2) / 2 - (before + Date.now()) / 2);
    this.catalogue = (await this.client.command("gift:catalog")).gifts.filter((gift) => gift.is_active !== false);
    this.wallet = await this.client.command("wallet:get");
    this.redraw();
  }

  say(text) {
    this.toast = text;
    clearTimeout(this.fading);
    this.fading = setTimeout(() => { this.toast = null; this.redraw(); }, 5000);
    this.redraw();
  }

  on(name, body) {
    const react = { "audio:levels": () => { this.levels = new Map(body.levels); }, "wallet:updated": () => { this.wallet = body; },
      "gift:sent": () => this.#gift(body), "seat:changed": () => this.#announce(body.seats), "mic:unmute_asked": () => this.say(this.texts.asked_unmute),
      "member:joined": () => this.#note(`${body.user.name || body.user.user_id} ${this.texts.joined}`) }[name];
    react?.();
  }

  // For those who hear the room: who sat down, who got up. Sitters are known since they were last seen.
  see(room) {
    this.sitters = new Map(room.seats.map((seat) => [seat.index, seat.user]));
  }

  #announce(seats) {
    const changes = seats.flatMap(({ index, user }) => {
      const before = this.sitters.get(index);
      if (before?.user_id === user?.user_id) return [];
      const place = `${this.texts.seat} ${index + 1}`;
      return [user ? `${place}: ${user.name || user.user_id}` : `${place}: ${this.texts.empty}`];
    });
    if (changes.length > 0) this.announced = changes.join(". ");
  }

  #note(notice) {
    this.serial += 1;
    this.notices = [...this.notices, { key: `notice-${this.serial}`, at: this.clock(), notice }].slice(-NOTICES_KEPT);
  }

  #gift(body) {
    this.#note(`${body.sender.name || body.sender.user_id} ${this.texts.sent} ${body.gift.name} ×${body.quantity}`);
    const wait = body.play_at - this.clock();
    if (wait < -LATE_MS) return;
    this.serial += 1;
    const flight = { key: body.transaction_id, sign: signOf(body.gift), lane: this.serial % 5, total: body.total_cost };
    setTimeout(() => { this.flights = [...this.flights, flight]; this.redraw(); }, Math.max(0, wait));
    setTimeout(() => { this.flights = this.flights.filter((other) => other !== flight); this.redraw(); }, Math.max(0, wait) + FLIGHT_MS);
  }
}

function useRoom(client, texts) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const sink = useRef(null);
  const around = useMemo(() => new Surroundings(client, texts, redraw), [client]);
  around.texts = texts;
  const sound = useMemo(() => new Sound(client, null, redraw), [client]);
  useEffect(() => {
    sound.sink = sink.current;
    let opened = false;
    const stop = client.listen((name, body) => {
      if (name) around.on(name, body);
      if (client.room) around.see(client.room);
      if (client.status === "joined" && !opened) {
        opened = true;
        around.load().catch((error) => around.say(texts.refusal(error)));
        sound.start();
      }
      if (name === "rtc:moved") sound.start();
      if (name === null || name === "seat:changed" || name === "mic:changed") sound.follow();
      redraw();
    });
    return () => { stop(); sound.stop(); };
  }, [client]);
  return { around, sound, sink };
}

function useQuality(sound, client) {
  const [quality, setQuality] = useState(null);
  useEffect(() => {
    const timer = setInterval(async () => {
      const figures = await sound.voice?.quality().catch(() => null);
      if (!figures) return;
      const share = figures.lost / Math.max(1, figures.lost + figures.received);
      const grade = share > 0.08 || figures.delay > 400 ? "bad" : share > 0.02 || figures.delay > 150 ? "fair" : "good";
      setQuality({ ...figures, grade });
    }, QUALITY_EVERY_MS);
    return () => clearInterval(timer);
  }, [client]);
  return quality;
}

function TopBar({ room, client, quality, texts, onOpen, onLanguage }) {
  const grade = client.status === "joined" ? quality?.grade ?? "good" : "bad";
  const detail = quality?.delay == null ? "" : ` (${quality.delay} ms)`;
  return html`<header class="top">
    <div><h1 dir="auto">${room.settings.name || room.room_id}</h1>
      <span class="quiet"><span data-testid="online">${room.online}</span> ${texts.online}</span>
      <span class=${`dot ${grade}`} role="img" aria-label=${texts[`quality_${grade}`]} title=${texts[`quality_${grade}`] + detail}></span></div>
    <nav>
      ${moderates(room) && room.requests.length > 0 && html`<button class="plain" data-testid="requests" aria-label=${texts.requests} onClick=${() => onOpen("requests")}>✋<b class="count-badge">${room.requests.length}</b></button>`}
      <button class="plain" aria-label=${texts.people} onClick=${() => onOpen("people")}>👥</button>
      ${moderates(room) && html`<button class="plain" aria-label=${texts.settings} onClick=${() => onOpen("settings")}>⚙️</button>`}
      <button class="plain" aria-label=${texts.share} onClick=${() => onOpen("share")}>🔗</button>
      <button class="plain language" lang=${texts.lang === "ar" ? "en" : "ar"} onClick=${onLanguage}>${texts.language}</button>
    </nav>
  </header>`;
}

function BottomBar({ room, sound, texts, act, onOpen }) {
  const seat = mine(room);
  const live = seat?.mic?.can_publish;
  const waiting = room.requests.find((request) => request.user.user_id === room.you.user_id);
  const asks = room.settings.seat_mode === "request" && !moderates(room);
  return html`<footer class="bottom">
    <${ChatBox} texts=${texts} onSend=${(text) => act("chat:send", { text })} />
    <div class="actions">
      ${seat && html`<button data-testid="mic" class=${live ? "primary" : ""} aria-pressed=${Boolean(live)} aria-label=${live ? texts.hush : texts.talk}
        onClick=${() => act("mic:set", { muted: !seat.mic.self_muted })}>${live ? "🎙️" : "🔇"}</button>
        <button data-testid="leave-seat" onClick=${() => act("seat:leave")}>${texts.leave}</button>`}
      ${!seat && !asks && html`<button class="primary" data-testid="take-seat" onClick=${() => act("seat:take", { index: -1 })}>${texts.take}</button>`}
      ${!seat && asks && !waiting && html`<button class="primary" data-testid="request-seat" onClick=${() => act("seat:request", {})}>${texts.request}</button>`}
      ${!seat && waiting && html`<button onClick=${() => act("seat:cancel_request", { request_id: waiting.request_id })}>${texts.withdraw}</button>`}
      <button data-testid="gifts" aria-label=${texts.gift} onClick=${() => onOpen("gifts")}>🎁</button>
      <select class="mode" aria-label=${texts.mode} value=${sound.mode} onChange=${(event) => sound.start(event.target.value)}>
        <option value="mediasoup">${texts.mode_mediasoup}</option><option value="offer">${texts.mode_offer}</option></select>
    </div>
    ${sound.state === "no_microphone" && html`<p class="quiet" role="status">${texts.no_microphone}</p>`}
  </footer>`;
}

function useSheets(client, room, around, act) {
  const [sheet, setSheet] = useState(null);
  const [members, setMembers] = useState([]);
  const close = () => setSheet(null);
  const open = async (name, extra) => {
    if (name === "people") setMembers((await act("room:members", { limit: 100 }))?.members ?? []);
    setSheet({ name, ...extra });
  };
  const choose = async (choice) => { close(); await act(choice.command, choice.fields); };
  const menu = (title, choices) => choices.length > 0 && setSheet({ name: "menu", title, choices });
  return { sheet, members, open, close, choose, menu };
}

function OpenSheet({ sheets, room, around, texts, act }) {
  const { sheet, members, close, choose, menu } = sheets;
  const common = { room, texts, onClose: close };
  const give = async (gift, quantity, to) => {
    const target = to === "seated" ? { scope: "seated" } : { recipients: [to] };
    const answer = await act("gift:send", { gift_id: gift.gift_id, quantity, ...target, idempotency_key: crypto.randomUUID() });
    if (answer) around.wallet = { ...around.wallet, coins: answer.balance?.coins ?? answer.balance };
  };
  switch (sheet?.name) {
    case "menu": return html`<${Menu} title=${sheet.title} choices=${sheet.choices} texts=${texts} onChoose=${choose} onClose=${close} />`;
    case "gifts": return html`<${GiftSheet} ...${common} catalogue=${around.catalogue} wallet=${around.wallet} onSend=${give} />`;
    case "requests": return html`<${Requests} ...${common} onAnswer=${(request, accept) => act("seat:respond_request", { request_id: request.request_id, accept })} />`;
    case "people": return html`<${People} ...${common} members=${members} onOpen=${(user) => menu(user.name || user.user_id, personChoices(room, user, texts))} />`;
    case "settings": return html`<${Settings} ...${common} onSave=${async (fields) => { close(); await act("room:update", fields); }}
      onCloseRoom=${async () => { close(); await act("room:close", {}); }} />`;
    case "share": return html`<${Share} ...${common} roomId=${room.room_id} />`;
    default: return null;
  }
}

export function RoomPage({ client, texts, onLanguage }) {
  const { around, sound, sink } = useRoom(client, texts);
  const quality = useQuality(sound, client);
  const room = client.room;
  const act = (name, fields) => client.command(name, fields).catch((error) => { around.say(texts.refusal(error)); return null; });
  const sheets = useSheets(client, room, around, act);
  const invite = room?.invites.find((candidate) => candidate.user_id === undefined || candidate.user_id === room.you.user_id);
  const lines = room ? [...room.chat, ...around.notices].sort((one, other) => one.at - other.at) : [];
  const ended = client.status === "ended" || client.status === "refused" || room?.closed;
  return html`<main class="room" dir=${texts.direction} lang=${texts.lang} data-status=${client.status} data-sound=${sound.state}>
    <div ref=${sink} class="sink" hidden></div>
    ${client.status === "reconnecting" && html`<p class="banner" role="alert" data-testid="reconnecting">${texts.reconnecting}</p>`}
    ${ended && html`<p class="banner ended" role="alert" data-testid="ended">${room?.closed ? texts.closed : texts.refusal(client.refusal ?? { code: "", message: texts.ended })}</p>`}
    ${!room && !ended && html`<p class="banner quiet">…</p>`}
    ${room && html`<${TopBar} room=${room} client=${client} quality=${quality} texts=${texts} onOpen=${sheets.open} onLanguage=${onLanguage} />
      ${room.settings.announcement && html`<p class="announcement" dir="auto">📣 ${room.settings.announcement}</p>`}
      <${Seats} room=${room} levels=${around.levels} texts=${texts}
        onOpen=${(seat) => sheets.menu(seat.user ? seat.user.name || seat.user.user_id : `${texts.seat} ${seat.index + 1}`, seatChoices(room, seat, texts))} />
      <${Combos} combos=${room.combos} texts=${texts} clock=${around.clock} />
      <${Chat} lines=${lines} texts=${texts} onOpen=${(line) => sheets.menu(line.user.name || line.user.user_id, messageChoices(room, line, texts))} />
      <${BottomBar} room=${room} sound=${sound} texts=${texts} act=${act} onOpen=${sheets.open} />
      <${Flights} flights=${around.flights} />
      ${invite && html`<${Invite} invite=${invite} texts=${texts} onAnswer=${(answered, accept) => act("seat:respond_invite", { invite_id: answered.invite_id, accept })} />`}
      <${OpenSheet} sheets=${sheets} room=${room} around=${around} texts=${texts} act=${act} />`}
    <p class="toast" role="status" data-testid="toast">${around.toast}</p>
    <p class="hidden-visually" role="status" data-testid="announced">${around.announced}</p>
  </main>`;
}
