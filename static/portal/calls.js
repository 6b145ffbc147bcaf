// How the pages ask the server. A read is asked once. A write is an intent with one key: it is sent
// until there is a definite answer, always under that key and with the same bytes, so that no click,
// no lost answer and no reload can do it twice.

export class Refused extends Error {
  /** A definite no; `problem` is the server's problem+json. */
  constructor(problem, status) {
    super(problem.detail || gettext("The server refused. Reload the page and try again."));
    this.problem = problem;
    this.code = problem.code ?? "";
    this.status = status;
  }
}

export class Unreachable extends Error {
  constructor() {
    super(gettext("The network is gone. Check the connection and try again."));
  }
}

let offset = 0;

/** The server's time in milliseconds: a till's own clock may be minutes off. */
export const serverNow = () => Date.now() + offset;

/** The Beijing day now, or `back` days ago, as a date field and the API write it. */
export const today = (back = 0) => new Date(serverNow() + (8 - 24 * back) * 3600000).toISOString().slice(0, 10);

const PATIENCE_MS = 10000;
const PENDING = "pending-intent";

function learnTime(response) {
  const told = Number(response.headers.get("Server-Time"));
  if (told) offset = told - Date.now();
}

async function parse(response) {
  learnTime(response);
  const type = response.headers.get("Content-Type") ?? "";
  if (!/json/.test(type)) return null;
  return response.json();
}

/** GET a JSON answer. Throws Refused or Unreachable; `signal` aborts. */
export async function read(url, { signal } = {}) {
  let response;
  let answer;
  const limit = AbortSignal.timeout(PATIENCE_MS);
  try {
    response = await fetch(url, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      signal: signal ? AbortSignal.any?.([signal, limit]) ?? signal : limit,
    });
    answer = await parse(response);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable();
  }
  if (!response.ok || answer === null) throw new Refused(answer ?? {}, response.status);
  return answer;
}

/** The address of one of the counter's reads. */
export function lookUrl(name, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return `/counter/look/${name}${query ? `?${query}` : ""}`;
}

function newKey() {
  // crypto.randomUUID exists in secure contexts only, and a till may still be on plain HTTP.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

// The token is read at each sending: signing in again in another tab changes it.
const csrfToken = () => /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? "";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Intent {
  /**
   * One act that is wanted once. `query` goes into the address. With `lasting`, the intent outlives a
   * reload and is never given up: that is for acts that move money. Without `stored` it does not
   * outlive a reload: its content may be kept nowhere.
   */
  constructor(
    operation,
    body,
    { query = {}, lasting = false, stored = lasting, note = null, restored = null } = {},
  ) {
    this.operation = operation;
    this.query = query;
    this.lasting = lasting;
    this.stored = stored;
    this.note = note;
    this.key = restored?.key ?? newKey();
    this.text = restored?.text ?? JSON.stringify(body);
  }

  /** The lasting intent that a reload interrupted, or null. */
  static interrupted() {
    const stored = sessionStorage.getItem(PENDING);
    if (!stored) return null;
    const kept = JSON.parse(stored);
    return new Intent(kept.operation, null, {
      query: kept.query,
      lasting: true,
      note: kept.note,
      restored: kept,
    });
  }

  /** Send until there is a definite answer. `doubt(text)` is told while the outcome is unknown. */
  async send({ doubt = () => {} } = {}) {
    if (this.stored) {
      const { operation, query, key, text, note } = this;
      sessionStorage.setItem(PENDING, JSON.stringify({ operation, query, key, text, note }));
    }
    try {
      const answer = await this.#untilDefinite(doubt);
      // For whatever else on the page shows what acts leave behind.
      document.dispatchEvent(new CustomEvent("acted", { detail: this.operation }));
      return answer;
    } finally {
      // Reached only with a definite answer, or when an intent that moves no money is given up.
      if (this.stored) sessionStorage.removeItem(PENDING);
    }
  }

  async #untilDefinite(doubt) {
    for (let attempt = 0; ; attempt += 1) {
      const sent = await this.#post();
      // Signed out in the middle: an earlier sending may have been accepted all the same.
      const signedOut = attempt > 0 && this.lasting && sent?.status === 401;
      if (sent && !signedOut) return conclude(sent);
      doubt(
        signedOut
          ? gettext("Signed out while the outcome is unknown: sign in again in another tab.")
          : gettext("No answer yet: the outcome is unknown. Checking with the same key…"),
      );
      if (!this.lasting && attempt >= 3) throw new Unreachable();
      await pause(Math.min(500 * 2 ** attempt, 5000));
      const known = await this.#outcome();
      if (known) return conclude(known);
    }
  }

  /** The definite answer as {status, answer}, or null while nobody knows. */
  async #post() {
    const query = new URLSearchParams(this.query).toString();
    try {
      const response = await fetch(`/counter/ops/${this.operation}${query ? `?${query}` : ""}`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          Accept: "application/json",
          "Idempotency-Key": this.key,
          "X-CSRFToken": csrfToken(),
        },
        body: this.text,
        cache: "no-store",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const answer = await parse(response);
      // 5xx with a body of ours is definite only for 501: everything else may or may not have
      // happened, and is asked again under the same key.
      if (response.status >= 500 && response.status !== 501) return null;
      return { status: response.status, answer: answer ?? {} };
    } catch {
      return null;
    }
  }

  async #outcome() {
    try {
      const found = await read(lookUrl("outcome", { idempotency_key: this.key }));
      return { status: found.status, answer: found.answer };
    } catch {
      // Unknown there, or unreachable: sending the same bytes again is safe in both cases.
      return null;
    }
  }
}

function conclude({ status, answer }) {
  if (status >= 400) throw new Refused(answer, status);
  return answer;
}
