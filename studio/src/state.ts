// What the pages share: the offer, the balance, the generations, the draft; and everything that can be done to them.
import { ApiError, call, follow, generation, generations, idempotencyKey, local } from "./api";
import { Cell } from "./cell";
import {
  EDIT_MODEL,
  EMPTY,
  barredStart,
  bodyOf,
  draftOf,
  fromFile,
  mediaOf,
  missingIn,
  modelOf,
  scalarsOf,
  type Draft,
} from "./draft";
import { forget, keep, keptOf } from "./kept";
import { settled } from "./quote";
import { go } from "./route";
import {
  ENDED,
  type CreatedGeneration,
  type Credits,
  type Feature,
  type FieldError,
  type Generation,
  type Key,
  type Limits,
  type Model,
  type State,
  type VideoFile,
} from "./wire";

export const models = new Cell<Model[] | null>(null);
export const credits = new Cell<Credits | null>(null);
/** The key of this visit, as the server has it. */
export const ownKey = new Cell<Key | null>(null);
/** Newest first. */
export const list = new Cell<Generation[]>([]);
export const draft = new Cell<Draft>(EMPTY);
/** What is wrong with the draft, by member. */
export const faults = new Cell<FieldError[]>([]);
/** What is wrong beyond the members. */
export const trouble = new Cell<string | null>(null);
export const sending = new Cell(false);
/** What the stage shows; null before the first one. */
export const staged = new Cell<string | null>(null);
/** The last thing that happened, for those who do not see the page. */
export const said = new Cell("");
/** Whether older generations are to be had, and from where. */
export const older = new Cell<{ cursor: string | null; more: boolean }>({ cursor: null, more: false });

export function say(text: string): void {
  // The same words twice are news twice.
  said.set(said.value === text ? `${text}\u00a0` : text);
}

export function limitsOf(all: Model[] | null, feature: Feature): Limits | null {
  const model = all?.find((model) => model.id !== EDIT_MODEL);
  return model?.features.find((limits) => limits.feature === feature) ?? null;
}

export function edit(change: Partial<Draft>, touched: string[] = []): void {
  draft.set((draft) => ({ ...draft, ...change }));
  if (touched.length > 0) {
    faults.set((faults) => faults.filter(({ field }) => !touched.some((name) => field === name || field.startsWith(`${name}[`))));
  }
  trouble.set(null);
}

/** Everything the first view needs, at once. */
export async function load(): Promise<void> {
  const [offered, balance, keys, page] = await Promise.all([
    call<{ data: Model[] }>("/models"),
    call<Credits>("/credits"),
    call<{ data: Key[] }>("/keys"),
    generations(null),
  ]);
  models.set(offered.data);
  credits.set(balance);
  ownKey.set(keys.data.find(({ current }) => current) ?? null);
  list.set((known) => joined(page.data, known));
  older.set({ cursor: page.next_cursor, more: page.has_more });
  firstFit(offered.data);
  for (const generation of page.data) if (!ENDED.has(generation.status)) watch(generation.id);
}

/**
 * A page of the list, and what is known already. Something may have been opened or deleted while the page was on its
 * way: of what has ended, what is known is newer.
 */
function joined(page: Generation[], known: Generation[]): Generation[] {
  const kept = new Map(known.filter(({ status }) => ENDED.has(status)).map((one) => [one.id, one]));
  const listed = new Set(page.map(({ id }) => id));
  const beyond = known.filter(({ id }) => !listed.has(id));
  return [...page.map((one) => kept.get(one.id) ?? one), ...beyond].sort((a, b) => (a.id < b.id ? 1 : -1));
}

/** The draft begins with something that the engine can do. */
function firstFit(offered: Model[]): void {
  const limits = limitsOf(offered, draft.value.feature);
  if (limits === null) return;
  const [resolution] = limits.resolutions;
  if (resolution !== undefined && !limits.resolutions.includes(draft.value.resolution)) edit({ resolution });
  const starts = (["nothing", "image", "clip"] as const).filter((start) => barredStart("text-image", start, limits) === undefined);
  if (starts[0] !== undefined && !starts.includes(draft.value.start)) edit({ start: starts[0] });
}

export async function loadOlder(): Promise<void> {
  const { cursor, more } = older.value;
  if (!more) return;
  const page = await generations(cursor);
  const known = new Set(list.value.map(({ id }) => id));
  list.set((list) => [...list, ...page.data.filter(({ id }) => !known.has(id))]);
  older.set({ cursor: page.next_cursor, more: page.has_more });
}

export async function refreshCredits(): Promise<void> {
  credits.set(await call<Credits>("/credits"));
}

function put(change: Partial<Generation> & { id: string }): void {
  list.set((list) => list.map((one) => (one.id === change.id ? { ...one, ...change } : one)));
}

/** One that is not in the list, a link from elsewhere: fetched and put where its age belongs. */
export async function ensure(id: string): Promise<void> {
  if (list.value.some((one) => one.id === id)) return;
  const found = await generation(id);
  list.set((list) => [...list, found].sort((a, b) => (a.id < b.id ? 1 : -1)));
  if (!ENDED.has(found.status)) watch(id);
}

const watched = new Map<string, AbortController>();
/** A browser opens six connections to a server; some must stay free for everything else. */
const STREAMS_MAX = 3;

/** Follows a generation until it has ended: as a stream, or by asking where there are too many streams. */
export function watch(id: string): void {
  if (watched.has(id)) return;
  const stop = new AbortController();
  watched.set(id, stop);
  const streamed = watched.size <= STREAMS_MAX;
  const tell = (event: Partial<Generation> & { id: string; status: State }) => put(event);
  const ended = streamed ? follow(id, tell, stop.signal) : poll(id, stop.signal);
  void ended
    .then(async () => {
      if (stop.signal.aborted) return;
      const end = await generation(id);
      put(end);
      announceEnd(end);
      await refreshCredits();
    })
    .catch((error: unknown) => trouble.set(error instanceof Error ? error.message : String(error)))
    .finally(() => watched.delete(id));
}

async function poll(id: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const now = await generation(id).catch((error: unknown) => {
      if (error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500)) return null;
      throw error;
    });
    if (now !== null) {
      put(now);
      if (ENDED.has(now.status)) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

/** Forgets everything of the person who was here. */
export function reset(): void {
  for (const stop of watched.values()) stop.abort();
  watched.clear();
  models.set(null);
  credits.set(null);
  ownKey.set(null);
  list.set([]);
  older.set({ cursor: null, more: false });
  draft.set(EMPTY);
  faults.set([]);
  trouble.set(null);
  staged.set(null);
}

function announceEnd(end: Generation): void {
  if (end.status === "COMPLETED") say(`The video is ready. It cost ${end.usage.total} credits.`);
  if (end.status === "FAILED") say(`The generation failed: ${end.message ?? end.code ?? ""}`);
  if (end.status === "CANCELED") say("The generation is canceled. Its credits are back.");
}

/** Sends the draft. What is wrong with it ends up beside its fields. */
export async function submit(): Promise<boolean> {
  if (sending.value) return false;
  const current = draft.value;
  const missing = missingIn(current);
  trouble.set(null);
  faults.set(missing);
  if (missing.length > 0) {
    say(missing.length === 1 ? missing[0]!.message : `${missing.length} fields need your attention.`);
    return false;
  }
  sending.set(true);
  say("Sending.");
  try {
    await settled();
    const media = mediaOf(current);
    const model = modelOf(current);
    // Sent again only by a person, who may have changed something: a key of its own each time.
    const created = await call<CreatedGeneration>(`/generation/${model}`, {
      body: bodyOf(media, scalarsOf(current)),
      headers: { "idempotency-key": idempotencyKey() },
    });
    const { id, usage, input } = created;
    const fresh: Generation = {
      id,
      status: "IN_QUEUE",
      input,
      data: null,
      usage,
      progress: 0,
      stage: "queued",
      model,
      created_at: new Date().toISOString(),
    };
    list.set((list) => [fresh, ...list.filter((one) => one.id !== id)]);
    staged.set(id);
    say("Accepted, and in the queue.");
    watch(id);
    void refreshCredits().catch(() => undefined);
    void keep(id, media.flatMap(([field, medium]) => (medium.kind === "file" ? [[field, medium.file]] : [])));
    return true;
  } catch (error) {
    refused(error);
    return false;
  } finally {
    sending.set(false);
  }
}

function refused(error: unknown): void {
  if (!(error instanceof ApiError)) throw error;
  faults.set(error.fields);
  if (error.fields.length === 0) trouble.set(error.message);
  say(error.message);
}

export async function cancel(id: string): Promise<void> {
  try {
    put(await call<Generation>(`/generation/${id}/cancel`, { method: "POST" }));
    say("Canceling.");
  } catch (error) {
    // It may have come to its end in between; that is shown then.
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
}

export async function remove(id: string): Promise<void> {
  await call(`/generation/${id}`, { method: "DELETE" });
  put({ id, data: null, data_removed: true });
  void forget(id);
  if (staged.value === id) staged.set(null);
  say("Deleted.");
}

/** Fills the form with what made this one. Says which files have to be chosen again. */
export async function reuse(from: Generation): Promise<boolean> {
  const { draft: next, missing } = draftOf(from, await keptOf(from.id), draft.value);
  draft.set(next);
  faults.set(missing);
  trouble.set(null);
  go({ view: "create" });
  say(missing.length > 0 ? "Some files have to be chosen again." : "The request is in the form again.");
  return missing.length === 0;
}

/** The same request with another seed: sent at once where everything it needs is still here. */
export async function retry(from: Generation): Promise<void> {
  const complete = await reuse(from);
  edit({ seed: "" });
  if (complete) await submit();
}

/** A result as a file of this page, to be sent again as an input. */
async function fileOf(file: VideoFile): Promise<File> {
  const answer = await fetch(local(file.url));
  if (!answer.ok) throw new ApiError(answer.status, "MEDIA", "The video is no longer there.", []);
  return new File([await answer.blob()], file.file_name, { type: file.content_type });
}

/** The picture at which the player stands. */
export async function frameOf(video: HTMLVideoElement, name: string): Promise<File> {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) throw new Error("This browser could not take the picture.");
  return new File([blob], name, { type: "image/png" });
}

/** Where a result can go on. */
export type Onward = "first" | "last" | "continue" | "reference" | "edit";

export async function takeOnward(onward: Onward, file: VideoFile, player: HTMLVideoElement | null): Promise<void> {
  const frame = async () => {
    if (player === null || player.readyState < 2) throw new Error("The player has no picture yet; try again in a moment.");
    return fromFile(await frameOf(player, file.file_name.replace(/\.mp4$/, "-frame.png")));
  };
  const clip = async () => fromFile(await fileOf(file));
  switch (onward) {
    case "first":
      edit({ feature: draft.value.feature === "frames" ? "frames" : "text-image", start: "image", image: await frame() }, ["image_url"]);
      break;
    case "last":
      edit({ feature: "frames", endImage: await frame() }, ["end_image_url"]);
      break;
    case "continue": {
      const duration = { ...draft.value.duration, "text-image": Math.min(15, Math.ceil(file.duration) + 5) };
      edit({ feature: "text-image", start: "clip", clip: await clip(), duration }, ["video_url", "duration"]);
      break;
    }
    case "reference": {
      const { referenceImages, referenceVideos } = draft.value;
      // Where an engine takes no videos, the picture at which the player stands does for it.
      const videos = (limitsOf(models.value, "reference")?.max_reference_videos ?? 8) > 0;
      const added = videos
        ? { referenceVideos: [...referenceVideos, await clip()] }
        : { referenceImages: [...referenceImages, await frame()] };
      edit({ feature: "reference", ...added }, ["video_refs", "reference_image_urls"]);
      break;
    }
    case "edit":
      edit({ feature: "edit-video", editClip: await clip() }, ["video_url"]);
      break;
  }
  faults.set([]);
  go({ view: "create" });
  say("It is in the form.");
}
