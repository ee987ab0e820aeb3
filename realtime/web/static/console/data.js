// What the console knows: the nodes' figures over time, the rooms, and one room looked at closely.
// The server is asked every two seconds; a rate is the difference of two counters.

const KEPT = 150;

export class Refused extends Error {
  constructor(status, body) {
    super(body.message ?? `${status}`);
    this.status = status;
    this.code = body.errors?.code;
  }
}

export class ConsoleData {
  constructor(bearer) {
    this.bearer = bearer;
    this.history = new Map();
    this.nodes = [];
    this.rooms = [];
  }

  async ask(path, options = {}) {
    const headers = { authorization: `Bearer ${this.bearer}`, "content-type": "application/json" };
    const answer = await fetch(path, { ...options, headers });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refused(answer.status, body);
    return body.data;
  }

  async refresh() {
    const [figures, rooms] = await Promise.all([this.ask("/v1/console/nodes"), this.ask("/v1/rooms?limit=100")]);
    this.nodes = figures.nodes;
    for (const node of figures.nodes) this.#remember(node);
    this.rooms = rooms.rooms.sort((one, other) => other.online - one.online);
  }

  #remember(node) {
    const past = this.history.get(node.node) ?? [];
    const last = past.at(-1);
    if (last && last.at === node.at) return;
    const seconds = last ? (node.at - last.at) / 1000 : 0;
    const rate = (name) => (seconds > 0 ? Math.max(0, (node.figures[name] - last.figures[name]) / seconds) : 0);
    past.push({ ...node, rates: Object.fromEntries(Object.keys(node.figures).map((name) => [name, rate(name)])) });
    this.history.set(node.node, past.slice(-KEPT));
  }

  // One figure over time per node, on a shared time axis: [times, values of the first node, values of the second, ...]
  series(name, rate) {
    const times = [...new Set([...this.history.values()].flat().map((point) => Math.round(point.at / 2000) * 2))].sort((one, other) => one - other);
    const lines = [...this.history.values()].map((past) => {
      const byTime = new Map(past.map((point) => [Math.round(point.at / 2000) * 2, rate ? point.rates[name] : point.figures[name]]));
      return times.map((time) => byTime.get(time) ?? null);
    });
    return [times, ...lines];
  }

  latest(name, rate) {
    return [...this.history.values()].reduce((sum, past) => sum + ((rate ? past.at(-1)?.rates[name] : past.at(-1)?.figures[name]) ?? 0), 0);
  }
}
