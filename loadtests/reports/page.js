'use strict';
const report = JSON.parse(document.getElementById('data').textContent);
const root = document.getElementById('report');
const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 520, HEIGHT = 220, LEFT = 52, RIGHT = 8, TOP = 12, BOTTOM = 24;

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) node[name] = value;
  node.append(...children);
  return node;
}
function drawn(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
const number = (value) => value === null || value === undefined ? '–'
  : Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en')
  : Number(value.toPrecision(3)).toLocaleString('en');

function niceStep(range) {
  const power = 10 ** Math.floor(Math.log10(range / 4 || 1));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => range / step <= 5) ?? power;
}

// A second in which nothing was answered breaks the line; one in which nothing was sampled does not.
function line(values, x, y, joined) {
  let path = '', pen = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) { pen = pen && joined; return; }
    path += `${pen ? 'L' : 'M'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    if (!pen) path += 'h0.01';
    pen = true;
  });
  return path;
}

function chart(title, unit, lines, joined = false) {
  const names = Object.keys(lines).filter((name) => lines[name].some((value) => value !== null));
  if (names.length === 0) return null;
  const count = Math.max(2, report.timeline.seconds);
  const top = Math.max(1e-9, ...names.flatMap((name) => lines[name].map((value) => value ?? 0)));
  const step = niceStep(top), limit = Math.ceil(top / step) * step;
  const x = (index) => LEFT + (WIDTH - LEFT - RIGHT) * index / (count - 1);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / limit);
  const svg = drawn('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': title });
  for (let value = 0; value <= limit + step / 2; value += step) {
    svg.append(drawn('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(drawn('text', { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, number(value)));
  }
  const tick = Math.max(1, niceStep(count));
  for (let second = 0; second < count; second += tick) {
    svg.append(drawn('text', { x: x(second), y: HEIGHT - 6, 'text-anchor': 'middle' }, `${second} s`));
  }
  names.forEach((name, index) => {
    svg.append(drawn('path', { class: `s${index % 6}`, d: line(lines[name], x, y, joined) }));
  });
  const labels = names.map((name, index) => element('span', { className: `s${index % 6}` }, name));
  const caption = element('figcaption', {}, `${title}${unit ? `, ${unit}` : ''} `, ...labels);
  hover(svg, names, lines, labels, x, count);
  return element('figure', {}, caption, svg);
}

function hover(svg, names, lines, labels, x, count) {
  const cursor = drawn('line', { class: 'cursor', y1: TOP, y2: HEIGHT - BOTTOM, visibility: 'hidden' });
  svg.append(cursor);
  const show = (index) => {
    names.forEach((name, position) => {
      labels[position].textContent = index === null ? name : `${name} ${number(lines[name][index])}`;
    });
  };
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const inside = (event.clientX - box.left) / box.width * WIDTH;
    const index = Math.round((inside - LEFT) / (WIDTH - LEFT - RIGHT) * (count - 1));
    if (index < 0 || index >= count) return;
    for (const end of ['x1', 'x2']) cursor.setAttribute(end, x(index));
    cursor.setAttribute('visibility', 'visible');
    show(index);
  });
  svg.addEventListener('pointerleave', () => { cursor.setAttribute('visibility', 'hidden'); show(null); });
}

function table(heads, rows) {
  const head = element('tr', {}, ...heads.map((text) => element('th', {}, text)));
  const body = rows.map((cells) => element('tr', {}, ...cells.map((cell) => (
    cell instanceof Node ? element('td', {}, cell) : element('td', {}, String(cell))))));
  return element('div', { className: 'scroll' }, element('table', {}, element('thead', {}, head),
    element('tbody', {}, ...body)));
}

function headline() {
  const verdict = { 0: 'held', 1: 'failed', 99: 'a threshold was broken' }[report.exit_code];
  root.append(
    element('h1', {}, report.title),
    element('p', {}, element('span', { className: `badge ${report.exit_code === 0 ? 'good' : 'bad'}` }, verdict)),
    element('p', { className: 'faint' }, `${new Date(report.started_at).toISOString()} · ${report.seconds} s · `
      + report.machine));
  if (report.failure) root.append(element('p', { className: 'bad' }, report.failure));
  for (const warning of report.warnings) root.append(element('p', { className: 'bad' }, warning));
}

function thresholds() {
  if (report.thresholds.length === 0) return;
  root.append(element('h2', {}, 'Thresholds'), table(['measure', 'bound', 'was', ''],
    report.thresholds.map((one) => [one.measure, one.bound, number(one.value),
      element('span', { className: one.held ? 'good' : 'bad' }, one.held ? 'held' : 'broken')])));
}

function charts() {
  const { acks, events, errors, gauges = {} } = report.timeline.lines;
  const pick = (lines, ...names) => Object.fromEntries(names.map((name) => [name, lines[name]]));
  const gauge = (words) => Object.fromEntries(Object.entries(gauges).filter(([name]) => (
    words.some((word) => name.startsWith(word)))));
  const share = (lines) => Object.fromEntries(Object.entries(lines).map(([name, values]) => (
    [name, values.map((value) => value === null ? null : value * 100)])));
  const drawings = [
    chart('Answers', 'ms', pick(acks, 'p50', 'p95', 'p99')),
    chart('Events, decided to delivered', 'ms', pick(events, 'p50', 'p95', 'p99')),
    chart('Answers', 'per second', { answers: acks.count }),
    chart('Errors', 'per second', errors),
    chart('Users', '', gauge(['users']), true),
    chart('Processor', '% of a core', share(gauge(['server cpu', 'load cpu'])), true),
    chart('Server memory', 'MiB', gauge(['server memory']), true),
  ];
  root.append(element('h2', {}, 'Over time'),
    element('div', { className: 'charts' }, ...drawings.filter(Boolean)));
}

function operations() {
  const columns = ['count', 'per_second', 'p50_ms', 'p95_ms', 'p99_ms', 'max_ms', 'refused', 'errors'];
  root.append(element('h2', {}, 'Operations and events'), table(
    ['', ...columns.map((name) => name.replace('_', ' '))],
    report.rows.map((row) => [row.name, ...columns.map((name) => row[name].toLocaleString('en'))])));
}

function details() {
  const items = [];
  for (const kind of ['errors', 'refusals']) {
    for (const [name, codes] of Object.entries(report[kind])) {
      items.push(`${kind === 'errors' ? 'error' : 'refusal'}: ${name}: `
        + Object.entries(codes).map(([code, count]) => `${code} ${count}`).join(', '));
    }
  }
  for (const [name, text] of Object.entries(report.problems)) items.push(`example: ${name}: ${text}`);
  for (const [name, count] of Object.entries(report.counters)) items.push(`counted: ${name}: ${number(count)}`);
  for (const [name, gauge] of Object.entries(report.gauges)) {
    items.push(`gauged: ${name}: median ${number(gauge.median)}, highest ${number(gauge.max)}`);
  }
  if (items.length === 0) return;
  root.append(element('h2', {}, 'Details'),
    element('ul', {}, ...items.map((text) => element('li', {}, element('code', {}, text)))));
}

headline();
thresholds();
charts();
operations();
details();
