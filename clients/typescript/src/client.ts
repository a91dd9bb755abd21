// The client: one method for each thing the API can do, and `generate`, which does all that a video takes.
import { ApiError, ConnectionFailed, GenerationCanceled, GenerationFailed, WaitTimeout, apiError } from "./errors.js";
import { OPERATIONS } from "./types.js";
import type {
  ChangedEndpoint,
  CreateGeneration,
  CreatedEdit,
  CreatedGeneration,
  CreditsView,
  DeliveryList,
  EditVideo,
  EndpointList,
  EndpointView,
  EntryList,
  ErrorBody,
  EventData,
  GenerationList,
  GenerationView,
  KeyList,
  KeyView,
  ModelsView,
  NewEndpoint,
  NewKey,
  QueueState,
  QueuedDelivery,
  QuoteView,
  RunningItem,
  SigningSecretView,
} from "./types.js";

/** Files to send, by the member they stand for. In Node, `await openAsBlob(path)` of `node:fs` makes one of a path. */
export type Files = Partial<
  Record<
    | "image_url"
    | "end_image_url"
    | "video_url"
    | "reference_image_urls"
    | "reference_image_url"
    | "video_refs"
    | "audio_url",
    Blob | Blob[]
  >
>;

/** How far a generation is. */
export interface Progress {
  status: QueueState;
  /** What is being done: `denoising`, `decoding` … */
  stage: string;
  /** How much of the whole is behind, 0 to 1. */
  fraction: number;
}

/** What `generate` has made. */
export interface GeneratedVideo {
  /** The generation, with the result. */
  generation: GenerationView;
  /** Where the file can be read for a while, without a key. */
  url: string;
  /** Where the file was saved. */
  path: string | null;
}

export interface KinoraOptions {
  /** Where the server is. */
  url: string;
  apiKey: string;
  /** The longest silence of the server before it is taken for gone, in milliseconds. */
  timeoutMs?: number;
  /** How often what may pass (429, 5xx, a broken line) is tried again. */
  retries?: number;
  /** Another `fetch` than the platform's. */
  fetch?: typeof fetch;
}

export interface CreateOptions {
  files?: Files;
  /** Requests under one key are one request; one is drawn where none is given. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

export interface WaitOptions {
  onProgress?: (progress: Progress) => void;
  /** How long to wait in all, in milliseconds. */
  waitMs?: number;
  /** How often to ask where event streams do not get through, in milliseconds. */
  pollIntervalMs?: number;
  signal?: AbortSignal;
}

export interface GenerateOptions extends CreateOptions, WaitOptions {
  /** Where to save the file; in Node and what is like it. */
  save?: string;
}

interface Call {
  /** What stands in the path, in its order. */
  ids?: string[];
  query?: Record<string, string | number | undefined>;
  headers?: Record<string, string>;
  body?: string | FormData;
  signal?: AbortSignal | undefined;
  /** Whether a second try does no harm; true unless it is said. */
  repeatable?: boolean;
}

/** What another try may get past. */
const PASSING = new Set([429, 500, 502, 503, 504]);
const LONGEST_PAUSE_MS = 16_000;
/** Streams that break off one after the other before the client asks instead. */
const STREAMS_MAX = 3;

const isTerminal = (status: QueueState): boolean =>
  status === "COMPLETED" || status === "FAILED" || status === "CANCELED";

/** A Kinora server, and the right to ask it. */
export class Kinora {
  readonly #base: string;
  readonly #apiKey: string;
  readonly #timeoutMs: number;
  readonly #retries: number;
  readonly #fetch: typeof fetch;

  constructor({ url, apiKey, timeoutMs = 60_000, retries = 4, fetch: given = fetch }: KinoraOptions) {
    if (!/^https?:\/\//.test(url)) throw new TypeError(`${JSON.stringify(url)} is no http or https URL`);
    if (!apiKey) throw new TypeError("give an API key");
    this.#base = `${url.replace(/\/+$/, "")}/api/v1`;
    this.#apiKey = apiKey;
    this.#timeoutMs = timeoutMs;
    this.#retries = retries;
    this.#fetch = (...request) => given(...request);
  }

  // ---- everything at once --------------------------------------------------------------------------------------

  /**
   * Makes a video: creates it, waits for its end, saves it. The members of the request are those of the API. An
   * `AbortSignal` cancels the generation.
   *
   * @throws {GenerationFailed} and its {@link GenerationCanceled}, {@link WaitTimeout}, or what `create` throws.
   */
  async generate(request: CreateGeneration, options: GenerateOptions = {}): Promise<GeneratedVideo> {
    const { save, signal } = options;
    if (save !== undefined) await tryToSave(save);
    const { id } = await this.create(request, options);
    try {
      const generation = await this.wait(id, options);
      const video = generation.data?.video;
      if (!video) throw new GenerationFailed(generation);
      if (save !== undefined) await this.save(generation, save, signal);
      return { generation, url: video.url, path: save ?? null };
    } catch (error) {
      // The abort is what the caller has to hear of, whatever becomes of this.
      if (signal?.aborted) await this.cancel(id).catch(() => undefined);
      throw error;
    }
  }

  /**
   * The generation, once it has succeeded. Follows its events, and takes a stream that broke off up where it ended;
   * where streams do not get through, it asks instead.
   */
  async wait(id: string, options: WaitOptions = {}): Promise<GenerationView> {
    const { onProgress, waitMs, pollIntervalMs = 2_000, signal } = options;
    const deadline = waitMs === undefined ? undefined : AbortSignal.timeout(waitMs);
    const stop = anyOf(signal, deadline);
    const seen = ({ status, stage, progress }: EventData | GenerationView): boolean => {
      onProgress?.({ status, stage, fraction: progress });
      return isTerminal(status);
    };
    try {
      let last: string | undefined;
      for (let failures = 0; failures < STREAMS_MAX; ) {
        let heard = false;
        try {
          for await (const { number, event } of this.#events(id, last, stop)) {
            [last, heard] = [number, true];
            if (seen(event)) return await this.#ended(id);
          }
        } catch (error) {
          const passes =
            error instanceof ConnectionFailed || (error instanceof ApiError && PASSING.has(error.status));
          if (stop?.aborted || !passes) throw error;
        }
        failures = heard ? 0 : failures + 1;
      }
      for (;;) {
        if (seen(await this.get(id, stop))) return await this.#ended(id);
        await pause(pollIntervalMs, stop);
      }
    } catch (error) {
      if (deadline?.aborted && !signal?.aborted) throw new WaitTimeout(id, waitMs ?? 0);
      throw error;
    }
  }

  /** The bytes of the video of a finished generation. */
  async download(generation: GenerationView, signal?: AbortSignal): Promise<Response> {
    const video = generation.data?.video;
    if (!video) throw new GenerationFailed(generation);
    return await this.#open("GET", video.url, { signal });
  }

  /** Saves the video of a finished generation, in Node and what is like it. It appears whole or not at all. */
  async save(generation: GenerationView, path: string, signal?: AbortSignal): Promise<void> {
    const [{ rename, rm, writeFile }, { Readable }] = await Promise.all([
      import("node:fs/promises"),
      import("node:stream"),
    ]);
    const answer = await this.download(generation, signal);
    const part = partOf(path);
    try {
      let received = 0;
      const counted = async function* (body: AsyncIterable<Uint8Array>) {
        for await (const chunk of body) {
          received += chunk.byteLength;
          yield chunk;
        }
      };
      const body = answer.body ?? new Blob().stream();
      await writeFile(part, Readable.from(counted(body as unknown as AsyncIterable<Uint8Array>)));
      const expected = generation.data?.video.file_size;
      if (received !== expected) throw new ConnectionFailed(`the video broke off after ${received} of ${expected} bytes`);
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  }

  // ---- one call each -------------------------------------------------------------------------------------------

  /** Accepts a generation and holds its price. Safe to try again: it goes under an idempotency key. */
  async create(request: CreateGeneration, options: CreateOptions = {}): Promise<CreatedGeneration> {
    return await this.#create("create_generation", request, options);
  }

  /** Accepts an edit of a clip, which may have several results. A clip that is a file goes into `files`. */
  async edit(request: Omit<EditVideo, "video_url"> & Partial<EditVideo>, options: CreateOptions = {}): Promise<CreatedEdit> {
    return await this.#create("create_edit", request, options);
  }

  /** What a request would cost. Nothing is kept or charged. */
  async quote(request: CreateGeneration, files?: Files): Promise<QuoteView> {
    return await this.#json("quote_generation", content(request, files));
  }

  /** One generation. */
  async get(id: string, signal?: AbortSignal): Promise<GenerationView> {
    return await this.#json("get_generation", { ids: [id], signal });
  }

  /** A page of generations, newest first. */
  async generations(
    query: { status?: QueueState[]; limit?: number; cursor?: string } = {},
  ): Promise<GenerationList> {
    const status = query.status?.length ? query.status.join(",") : undefined;
    return await this.#json("list_generations", { query: { ...query, status } });
  }

  /** What is queued or in progress. */
  async running(limit?: number): Promise<RunningItem[]> {
    return await this.#json("list_running_generations", { query: { limit } });
  }

  /** The events of a generation, from its present state or from behind an earlier event, to its end. */
  async *events(id: string, lastEventId?: string, signal?: AbortSignal): AsyncGenerator<EventData> {
    for await (const { event } of this.#events(id, lastEventId, signal)) yield event;
  }

  /** Ends a generation. One that runs ends as soon as its engine has stopped. */
  async cancel(id: string): Promise<GenerationView> {
    return await this.#json("cancel_generation", { ids: [id] });
  }

  /** Removes the media of a generation that has ended. */
  async delete(id: string): Promise<void> {
    await this.#do("delete_generation", id);
  }

  /** What can be spent, and what is held. */
  async credits(): Promise<CreditsView> {
    return await this.#json("get_credits");
  }

  /** A page of the ledger, newest first. */
  async entries(query: { limit?: number; cursor?: string } = {}): Promise<EntryList> {
    return await this.#json("list_credit_entries", { query });
  }

  /** What the server offers, its limits and its prices. */
  async models(): Promise<ModelsView> {
    return await this.#json("list_models");
  }

  /** The secret that signs what is told to the `webhook_url` of a request, for `verifyWebhook`. */
  async signingSecret(): Promise<string> {
    return (await this.#json<SigningSecretView>("get_signing_secret")).secret;
  }

  // ---- webhook endpoints ---------------------------------------------------------------------------------------

  /** Where the workspace is told what becomes of its generations. */
  async webhooks(): Promise<EndpointView[]> {
    return (await this.#json<EndpointList>("list_webhooks")).data;
  }

  /** One endpoint. */
  async webhook(id: string): Promise<EndpointView> {
    return await this.#json("get_webhook", { ids: [id] });
  }

  /** Makes an endpoint. Its `secret` is shown by this answer and never again. Is not tried again by itself. */
  async createWebhook(endpoint: NewEndpoint): Promise<EndpointView> {
    return await this.#json("create_webhook", { ...content(endpoint), repeatable: false });
  }

  /** Changes what is given; `enabled: false` lets what is still to be told wait. */
  async changeWebhook(id: string, change: ChangedEndpoint): Promise<EndpointView> {
    return await this.#json("change_webhook", { ids: [id], ...content(change) });
  }

  /** Removes an endpoint and its log. */
  async deleteWebhook(id: string): Promise<void> {
    await this.#do("delete_webhook", id);
  }

  /** Gives an endpoint another `secret`, shown by this answer only. The old one signs beside it for a while. */
  async rotateWebhookSecret(id: string): Promise<EndpointView> {
    return await this.#json("rotate_webhook_secret", { ids: [id], repeatable: false });
  }

  /** Queues a test event; the id under which `webhookDeliveries` shows what came of it. */
  async testWebhook(id: string): Promise<string> {
    return (await this.#json<QueuedDelivery>("test_webhook", { ids: [id], repeatable: false })).id;
  }

  /** A page of what an endpoint was told, newest first, with every try. */
  async webhookDeliveries(id: string, query: { limit?: number; cursor?: string } = {}): Promise<DeliveryList> {
    return await this.#json("list_webhook_deliveries", { ids: [id], query });
  }

  /** Queues a delivery once more, whatever has become of it. */
  async retryWebhookDelivery(id: string, deliveryId: string): Promise<void> {
    await this.#json("retry_webhook_delivery", { ids: [id, deliveryId], repeatable: false });
  }

  // ---- keys ----------------------------------------------------------------------------------------------------

  /** The keys of the workspace, oldest first, revoked ones included. */
  async keys(): Promise<KeyView[]> {
    return (await this.#json<KeyList>("list_keys")).data;
  }

  /** Makes a key. Its secret, `key`, is shown by this answer and never again. Is not tried again by itself. */
  async createKey(key: NewKey): Promise<KeyView> {
    return await this.#json("create_key", { ...content(key), repeatable: false });
  }

  /**
   * Ends a key, at once and for good.
   *
   * @throws {ConflictError} where it is the one that asks.
   */
  async revokeKey(id: string): Promise<void> {
    await this.#do("revoke_key", id);
  }

  // ---- how -------------------------------------------------------------------------------------------------

  async #create<T>(operation: keyof typeof OPERATIONS, request: object, options: CreateOptions): Promise<T> {
    const { files, idempotencyKey = crypto.randomUUID(), signal } = options;
    const headers = { "Idempotency-Key": idempotencyKey };
    const { body, headers: type } = content(request, files);
    return await this.#json(operation, { body, headers: { ...headers, ...type }, signal });
  }

  /** The generation as it is in the end; an error where that is not what was wanted. */
  async #ended(id: string): Promise<GenerationView> {
    const generation = await this.get(id);
    if (generation.status === "CANCELED") throw new GenerationCanceled(generation);
    if (generation.status !== "COMPLETED") throw new GenerationFailed(generation);
    return generation;
  }

  async *#events(
    id: string,
    last?: string,
    signal?: AbortSignal,
  ): AsyncGenerator<{ number: string | undefined; event: EventData }> {
    const [method, path] = OPERATIONS.stream_events;
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (last !== undefined) headers["Last-Event-ID"] = last;
    const answer = await this.#open(method, path, { ids: [id], headers, signal });
    if (!answer.body) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let [rest, number, data]: [string, string | undefined, string[]] = ["", undefined, []];
    try {
      for (;;) {
        const { done, value } = await this.#within(reader.read());
        if (done) return;
        const lines = (rest + value).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines.map((text) => text.replace(/\r$/, ""))) {
          if (line === "") {
            if (data.length) yield { number, event: JSON.parse(data.join("\n")) as EventData };
            data = [];
          } else if (line.startsWith("data:")) {
            data.push(line.slice(5).replace(/^ /, ""));
          } else if (line.startsWith("id:")) {
            number = line.slice(3).trim();
          }
        }
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new ConnectionFailed(`the events of ${id} broke off`, { cause: error });
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  /** A read that takes longer than the longest silence is given up. */
  async #within<T>(reading: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the server is silent")), this.#timeoutMs);
    });
    try {
      return await Promise.race([reading, silence]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #json<T>(operation: keyof typeof OPERATIONS, call: Call = {}): Promise<T> {
    const [method, path] = OPERATIONS[operation];
    const answer = await this.#open(method, path, call);
    try {
      return (await answer.json()) as T;
    } catch (error) {
      throw new ConnectionFailed(`${method} ${path}: the answer broke off`, { cause: error });
    }
  }

  async #do(operation: keyof typeof OPERATIONS, ...ids: string[]): Promise<void> {
    const [method, path] = OPERATIONS[operation];
    await this.#open(method, path, { ids });
  }

  /** The answer, once there is one that is no error. Tries again what may pass, where that does no harm. */
  async #open(method: string, path: string, call: Call): Promise<Response> {
    for (let attempt = 0, wait = 1_000; ; attempt += 1, wait *= 2) {
      let pauseMs = wait;
      try {
        return await this.#openOnce(method, path, call);
      } catch (error) {
        if (call.signal?.aborted || attempt >= this.#retries || call.repeatable === false) throw error;
        if (error instanceof ApiError) {
          if (!PASSING.has(error.status) && error.code !== "IDEMPOTENCY_IN_FLIGHT") throw error;
          if (error.retryAfter !== null) pauseMs = error.retryAfter * 1000;
        } else if (!(error instanceof ConnectionFailed)) {
          throw error;
        }
      }
      await pause(Math.min(pauseMs, LONGEST_PAUSE_MS), call.signal);
    }
  }

  async #openOnce(method: string, path: string, { ids = [], query, headers, body, signal }: Call): Promise<Response> {
    const absolute = /^https?:\/\//.test(path);
    const given = ids.values();
    const filled = path.replace(/\{\w+\}/g, () => encodeURIComponent(given.next().value ?? ""));
    const url = new URL(absolute ? path : this.#base + filled);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    // The URL of a result is a capability by itself, and may lead elsewhere.
    const key: Record<string, string> = absolute ? {} : { Authorization: `Bearer ${this.#apiKey}` };
    // Only until the head of the answer: a body may take its time.
    const head = new AbortController();
    const timer = setTimeout(() => head.abort(new Error("the server is silent")), this.#timeoutMs);
    let answer: Response;
    try {
      answer = await this.#fetch(url, {
        method,
        headers: { ...key, ...headers },
        ...(body === undefined ? {} : { body }),
        signal: anyOf(signal, head.signal) ?? null,
      });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new ConnectionFailed(`${method} ${url.origin}${url.pathname}: no answer`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
    if (answer.ok) return answer;
    const told = (await answer.json().catch(() => ({}))) as Partial<ErrorBody>;
    const after = answer.headers.get("retry-after") ?? "";
    throw apiError({
      status: answer.status,
      code: told.code ?? "",
      message: told.message ?? `the server answered ${answer.status}`,
      errors: told.errors ?? [],
      requestId: answer.headers.get("x-request-id"),
      retryAfter: /^[0-9]+$/.test(after) ? Number(after) : null,
    });
  }
}

/** A request as JSON, or with files as a form. */
function content(request: object, files?: Files): { body: string | FormData; headers?: Record<string, string> } {
  if (!files || Object.keys(files).length === 0) {
    return { body: JSON.stringify(request), headers: { "Content-Type": "application/json" } };
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(request)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null && item !== undefined) form.append(name, String(item));
    }
  }
  for (const [name, given] of Object.entries(files)) {
    for (const blob of Array.isArray(given) ? given : [given]) {
      form.append(name, blob, blob instanceof File ? blob.name : name);
    }
  }
  return { body: form };
}

function anyOf(...signals: (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      done();
    }, ms);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}

const partOf = (path: string): string => `${path}.${crypto.randomUUID()}.part`;

/** Finds out before a video is paid for that it could not be saved. */
async function tryToSave(path: string): Promise<void> {
  const { rm, stat, writeFile } = await import("node:fs/promises");
  const found = await stat(path).catch(() => null);
  if (found?.isDirectory()) throw new Error(`${path} is a folder; the name of a file is taken`);
  const part = partOf(path);
  await writeFile(part, "");
  await rm(part);
}
