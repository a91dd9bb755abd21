// Speaks to the API: one function a call, errors as ApiError, streams that come back by themselves.
import { key, UNKNOWN_KEY, signOut } from "./session";
import { ENDED, type ErrorBody, type Event, type FieldError, type Generation, type Page } from "./wire";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: FieldError[],
  ) {
    super(message);
  }
}

export interface Call {
  method?: string;
  body?: FormData | object;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Calls `path`, relative to the API's base, and returns the JSON of its answer. */
export async function call<T>(path: string, options: Call = {}): Promise<T> {
  const answer = await send(path, options);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

async function send(path: string, { method, body, headers, signal }: Call): Promise<Response> {
  const json = body !== undefined && !(body instanceof FormData);
  const sent = key.value;
  let answer: Response;
  try {
    answer = await fetch(`/api/v1${path}`, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: {
        authorization: `Bearer ${sent}`,
        ...(json ? { "content-type": "application/json" } : {}),
        ...headers,
      },
      body: json ? JSON.stringify(body) : ((body as FormData | undefined) ?? null),
      signal: signal ?? null,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "UNREACHABLE", "The server cannot be reached. Is it still running?", []);
  }
  // Nothing new is an answer too, to whoever asks for what is newer.
  if (answer.ok || answer.status === 304) return answer;
  const unreadable = { code: "UNREADABLE", message: `The server answered ${answer.status}.` };
  const problem: Omit<ErrorBody, "error"> = await answer.json().catch(() => unreadable);
  // A key that has been revoked must not look like a page that does nothing.
  if (answer.status === 401 && key.value === sent) signOut(UNKNOWN_KEY);
  throw new ApiError(answer.status, problem.code, problem.message, problem.errors ?? []);
}

export const generation = (id: string) => call<Generation>(`/generation/${id}`);

/** What the video looks like so far; null where nothing is newer than `tag`. */
export async function preview(id: string, tag: string, signal: AbortSignal): Promise<{ picture: Blob; tag: string } | null> {
  const headers: Record<string, string> = tag === "" ? {} : { "if-none-match": tag };
  const answer = await send(`/generation/${id}/preview`, { headers, signal });
  return answer.status === 304 ? null : { picture: await answer.blob(), tag: answer.headers.get("etag") ?? "" };
}

export function generations(cursor: string | null, limit = 48): Promise<Page<Generation>> {
  const from = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
  return call(`/generations?limit=${limit}${from}`);
}

/** A key under which the same request is accepted once. */
export function idempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Follows a generation to its end. Streams that break are taken up behind the last event that was seen; where streams
 * do not get through, every try still tells the present state.
 */
export async function follow(id: string, tell: (event: Event) => void, signal: AbortSignal): Promise<void> {
  let last = "";
  let pause = 500;
  for (;;) {
    try {
      const headers: Record<string, string> = last === "" ? {} : { "last-event-id": last };
      const stream = await send(`/generation/${id}/events`, { headers, signal });
      for await (const [number, event] of eventsOf(stream)) {
        last = number ?? last;
        pause = 500;
        tell(event);
        if (ENDED.has(event.status)) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      const lost = error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
      if (lost) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal.aborted) return;
    pause = Math.min(pause * 2, 8000);
  }
}

async function* eventsOf(answer: Response): AsyncGenerator<[string | undefined, Event]> {
  if (answer.body === null) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const lines = block.split("\n");
        const member = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        const data = member("data");
        if (data !== undefined) yield [member("id"), JSON.parse(data) as Event];
      }
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** Where a file of a result is read from this page: answers name it by the server's public address. */
export function local(url: string): string {
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}
