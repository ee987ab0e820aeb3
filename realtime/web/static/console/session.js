// How an operator comes in: by a one-time link, whose secret stands behind the # of the address and is handed in once,
// or with a service key. What is kept ends with the browser's tab.

const KEPT_AS = "console-session";

export function kept() {
  return JSON.parse(sessionStorage.getItem(KEPT_AS));
}

export function keep(session) {
  sessionStorage.setItem(KEPT_AS, JSON.stringify(session));
  return session;
}

export function forget() {
  sessionStorage.removeItem(KEPT_AS);
}

// The secret of the link this page was opened with; it leaves the address and the history at once.
export function takeSecret() {
  const secret = location.hash.slice(1);
  if (secret) history.replaceState(null, "", location.pathname);
  return secret;
}

// The session a secret is good for: { token, ends_at }; throws what the server says against it.
export async function redeem(secret) {
  const answer = await fetch("/v1/console/sessions", { method: "POST", body: JSON.stringify({ secret }) });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.message ?? `${answer.status}`);
  return keep(body.data);
}
