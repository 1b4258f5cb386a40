// What the tests share: a clock that stands, a Bartizan made of answers, and waiting.

export const TOKEN = "lookup-token-for-tests-0123456789";
export const NOW = Date.parse("2026-11-23T10:00:00Z");

export function block(value, more = {}) {
  return {
    ...{ id: `id-${value}`, value, reason: "r", rule: null, incident_id: null },
    ...{ created_at: "2026-11-23T09:00:00.000Z", until: null, scope: value.includes("/") ? "Range" : "Ip", type: "ban" },
    ...more,
  };
}

export function at(ms) {
  return new Date(NOW + ms).toISOString();
}

/** A fetch that answers from a list, in order; each is [status, body, headers], an Error, or a function of the request. */
export function answering(...answers) {
  const asked = [];
  const fetch = async (url, init) => {
    asked.push({ url: new URL(url), ...init });
    let answer = answers.length > 1 ? answers.shift() : answers[0];
    if (typeof answer === "function") answer = await answer(new URL(url), init);
    if (answer instanceof Error) throw answer;
    const [status, body = null, headers = {}] = answer;
    return new Response(body === null ? null : typeof body === "string" ? body : JSON.stringify(body), { status, headers });
  };
  return { fetch, asked };
}

/** An answer that comes only when the poll is given up. */
export function never(_, init) {
  return new Promise((_, reject) => init.signal.addEventListener("abort", () => reject(init.signal.reason)));
}

export async function until(isSo, ms = 10_000) {
  const end = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error("it did not become so");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
