// Pages of one headless Chromium under the command of a test. Every page keeps its console errors and dialogs.

const { readFile } = require("fs/promises");
const { chromium } = require("playwright-core");
const { serve } = require("../lines.js");

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
  "--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection"];
const SECONDS = 30;

const pages = new Map();
let browser;

// Remembers every peer connection of the page, so that a test can ask for their statistics.
function watchPeers() {
  window.peers = [];
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...given) {
      super(...given);
      window.peers.push(this);
    }
  };
}

async function heard() {
  let packets = 0, energy = 0, concealed = 0;
  for (const peer of window.peers) {
    if (peer.connectionState === "closed") continue;
    for (const stat of (await peer.getStats()).values()) {
      if (stat.type !== "inbound-rtp" || stat.kind !== "audio") continue;
      packets += stat.packetsReceived ?? 0;
      energy += stat.totalAudioEnergy ?? 0;
      concealed += stat.concealedSamples ?? 0;
    }
  }
  return { packets, energy, concealed };
}

// Remembers how long each frame took, and each task that held the page up.
function watchFrames() {
  const lengths = { frames: [], tasks: [] };
  window.lengths = lengths;
  new PerformanceObserver((list) => lengths.tasks.push(...list.getEntries().map((task) => task.duration))).observe({ type: "longtask" });
  let last = performance.now();
  const frame = (now) => {
    lengths.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

const OPERABLE = new Set(["button", "link", "textbox", "combobox", "checkbox", "radio", "slider", "searchbox", "spinbutton", "tab", "menuitem", "DisclosureTriangle"]);

async function controls({ page }) {
  const session = await pages.get(page).page.context().newCDPSession(pages.get(page).page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  return nodes.filter((node) => !node.ignored && OPERABLE.has(node.role?.value)).map((node) => ({ role: node.role.value, name: node.name?.value ?? "" }));
}

async function download({ page: name, selector }) {
  const { page } = pages.get(name);
  const [saved] = await Promise.all([page.waitForEvent("download", { timeout: SECONDS * 1000 }), page.click(selector)]);
  return readFile(await saved.path(), "utf8");
}

// Asks again and again from outside: the page's policy forbids that a condition is compiled inside.
async function until({ page, condition, seconds }) {
  const end = Date.now() + (seconds ?? SECONDS) * 1000;
  while (!(await pages.get(page).page.evaluate(condition))) {
    if (Date.now() > end) throw new Error(`not within ${seconds ?? SECONDS} s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

const OPS = {
  async start({ executable }) {
    browser = await chromium.launch({ executablePath: executable, headless: true, args: FLAGS });
  },
  async open({ page: name, url, width, height, language }) {
    const context = await browser.newContext({ viewport: { width: width ?? 390, height: height ?? 844 }, locale: language ?? "en-US",
      permissions: ["microphone"], ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const kept = { page, errors: [], dialogs: [], requests: [] };
    page.on("console", (message) => message.type() === "error" && kept.errors.push(message.text()));
    page.on("pageerror", (error) => kept.errors.push(String(error)));
    page.on("dialog", (dialog) => { kept.dialogs.push(dialog.message()); dialog.dismiss(); });
    page.on("request", (request) => kept.requests.push(request.url()));
    await page.addInitScript(watchPeers);
    pages.set(name, kept);
    await page.goto(url);
  },
  click: ({ page, selector }) => pages.get(page).page.click(selector, { timeout: SECONDS * 1000 }),
  fill: ({ page, selector, text }) => pages.get(page).page.fill(selector, text, { timeout: SECONDS * 1000 }),
  press: ({ page, selector, key }) => pages.get(page).page.press(selector, key, { timeout: SECONDS * 1000 }),
  select: ({ page, selector, value }) => pages.get(page).page.selectOption(selector, value, { timeout: SECONDS * 1000 }),
  appear: ({ page, selector, seconds }) => pages.get(page).page.waitForSelector(selector, { timeout: (seconds ?? SECONDS) * 1000 }).then(() => true),
  vanish: ({ page, selector, seconds }) => pages.get(page).page.waitForSelector(selector, { state: "detached", timeout: (seconds ?? SECONDS) * 1000 }).then(() => true),
  key: ({ page, key }) => pages.get(page).page.keyboard.press(key),
  until,
  controls,
  download,
  watchFrames: ({ page }) => pages.get(page).page.evaluate(watchFrames),
  frames: ({ page }) => pages.get(page).page.evaluate("window.lengths"),
  text: ({ page, selector }) => pages.get(page).page.textContent(selector, { timeout: SECONDS * 1000 }),
  count: ({ page, selector }) => pages.get(page).page.locator(selector).count(),
  evaluate: ({ page, code }) => pages.get(page).page.evaluate(code),
  heard: ({ page }) => pages.get(page).page.evaluate(heard),
  offline: ({ page, offline }) => pages.get(page).page.context().setOffline(offline),
  screenshot: ({ page, path, full }) => pages.get(page).page.screenshot({ path, fullPage: full ?? false }).then(() => path),
  resize: ({ page, width, height }) => pages.get(page).page.setViewportSize({ width, height }),
  async report({ page }) {
    const { errors, dialogs, requests } = pages.get(page);
    return { errors, dialogs, requests };
  },
  close: ({ page }) => pages.get(page).page.context().close(),
};

serve(OPS, () => browser?.close());
