// What the person is about to send: one draft for all four modes, so that a prompt or a picture survives a change of
// mode. Each mode sends its own members only; whether they are right, the server says.
import type { AspectRatio, Feature, FieldError, Generation, Input, Limits, Resolution } from "./wire";

/** An image, a clip or a sound: from this machine, or by its address. */
export type Medium = { kind: "file"; file: File; preview: string } | { kind: "url"; url: string };

/** What a clip begins with. */
export type Start = "nothing" | "image" | "clip";

export interface Draft {
  feature: Feature;
  prompt: string;
  negativePrompt: string;
  start: Start;
  image: Medium | null;
  endImage: Medium | null;
  /** The clip to continue. */
  clip: Medium | null;
  /** The clip to edit. */
  editClip: Medium | null;
  editImage: Medium | null;
  referenceImages: Medium[];
  referenceVideos: Medium[];
  sound: Medium | null;
  /** Empty: the workflow's own. */
  aspect: AspectRatio | "";
  resolution: Resolution;
  /** Seconds, by workflow; 0 keeps the length of an edited clip. */
  duration: Record<Feature, number>;
  seed: string;
  expand: boolean;
  multiShots: boolean;
  keepSound: boolean;
  n: number;
}

export const EMPTY: Draft = {
  feature: "text-image",
  prompt: "",
  negativePrompt: "",
  start: "nothing",
  image: null,
  endImage: null,
  clip: null,
  editClip: null,
  editImage: null,
  referenceImages: [],
  referenceVideos: [],
  sound: null,
  aspect: "",
  resolution: "720p",
  duration: { "text-image": 5, frames: 5, reference: 5, "edit-video": 0 },
  seed: "",
  expand: true,
  multiShots: false,
  keepSound: false,
  n: 1,
};

export const VIDEO_MODEL = "wan/wan-v2.7-video";
export const EDIT_MODEL = "wan/wan-v2.7/edit-video";

export function fromFile(file: File): Medium {
  return { kind: "file", file, preview: URL.createObjectURL(file) };
}

export function nameOf(medium: Medium): string {
  return medium.kind === "file" ? medium.file.name : medium.url;
}

/** How the mode begins: first and last frames need a beginning. */
export function startOf(draft: Draft): Start {
  return draft.feature === "frames" && draft.start === "nothing" ? "image" : draft.start;
}

/** Why the mode cannot begin so with the engine that is there. */
export function barredStart(feature: Feature, start: Start, limits: Limits | null): string | undefined {
  const names: Record<Start, Limits["starts"]> = {
    nothing: ["text"],
    image: feature === "frames" ? ["first-and-last-frame", "first-frame"] : ["first-frame"],
    clip: feature === "frames" ? ["clip-and-last-frame", "clip"] : ["clip"],
  };
  if (limits === null || names[start].some((name) => limits.starts.includes(name))) return undefined;
  const without = { nothing: "words alone", image: "an image", clip: "a clip" }[start];
  return `The engine of this server does not start from ${without}.`;
}

/** Several clips of one edit are the narrow endpoint's business. */
export function modelOf(draft: Draft): string {
  return draft.feature === "edit-video" && draft.n > 1 ? EDIT_MODEL : VIDEO_MODEL;
}

/** The media of the mode, by member, in order. */
export function mediaOf(draft: Draft): [string, Medium][] {
  const media: [string, Medium | null][] = [];
  const start = startOf(draft);
  switch (draft.feature) {
    case "text-image":
    case "frames":
      if (start === "image") media.push(["image_url", draft.image]);
      if (start === "clip") media.push(["video_url", draft.clip]);
      if (draft.feature === "frames") media.push(["end_image_url", draft.endImage]);
      if (start !== "clip") media.push(["audio_url", draft.sound]);
      break;
    case "reference":
      for (const image of draft.referenceImages) media.push(["reference_image_urls", image]);
      for (const video of draft.referenceVideos) media.push(["video_refs", video]);
      break;
    case "edit-video":
      media.push(["video_url", draft.editClip], ["reference_image_url", draft.editImage]);
      break;
  }
  return media.filter((entry): entry is [string, Medium] => entry[1] !== null);
}

export type Scalar = string | number | boolean;

/** All other members of the mode that are not at their defaults. */
export function scalarsOf(draft: Draft): [string, Scalar][] {
  const { feature } = draft;
  const narrow = modelOf(draft) === EDIT_MODEL;
  const scalars: [string, Scalar][] = [];
  if (!narrow) scalars.push(["feature", feature]);
  if (draft.prompt.trim() !== "") scalars.push(["prompt", draft.prompt]);
  if (!narrow && draft.negativePrompt.trim() !== "") scalars.push(["negative_prompt", draft.negativePrompt]);
  if (draft.aspect !== "") scalars.push(["aspect_ratio", draft.aspect]);
  scalars.push(["resolution", draft.resolution], ["duration", draft.duration[feature]]);
  if (!narrow && !draft.expand) scalars.push(["enable_prompt_expansion", false]);
  if (feature === "reference" && draft.multiShots) scalars.push(["multi_shots", true]);
  if (feature === "edit-video" && draft.keepSound) scalars.push(["audio_setting", "origin"]);
  if (draft.seed.trim() !== "") scalars.push(["seed", numberOr(draft.seed)]);
  if (narrow) scalars.push(["n", draft.n]);
  return scalars;
}

/** What is no number is sent as it is: the server says what is wrong with it. */
function numberOr(text: string): Scalar {
  const number = Number(text.trim());
  return Number.isFinite(number) ? number : text.trim();
}

const LISTS: ReadonlySet<string> = new Set(["reference_image_urls", "video_refs"]);

/** A request body: JSON where everything is text, a form where files go along. */
export function bodyOf(media: [string, Medium][], scalars: [string, Scalar][]): FormData | Record<string, unknown> {
  if (!media.some(([, medium]) => medium.kind === "file")) return jsonOf({ media, scalars });
  const form = new FormData();
  for (const [name, value] of scalars) form.append(name, String(value));
  for (const [name, medium] of media) {
    if (medium.kind === "file") form.append(name, medium.file, medium.file.name);
    else form.append(name, medium.url);
  }
  return form;
}

/** The same as JSON, of the media that have an address. */
export function jsonOf({ media, scalars }: { media: [string, Medium][]; scalars: [string, Scalar][] }): Record<string, unknown> {
  const body: Record<string, unknown> = Object.fromEntries(scalars);
  for (const [name, medium] of media) {
    if (medium.kind !== "url") continue;
    if (LISTS.has(name)) body[name] = [...((body[name] as string[] | undefined) ?? []), medium.url];
    else body[name] = medium.url;
  }
  return body;
}

/** What is missing before the server need be asked. */
export function missingIn(draft: Draft): FieldError[] {
  const missing: FieldError[] = [];
  const need = (there: boolean, field: string, message: string) => {
    if (!there) missing.push({ field, message });
  };
  const prompt = draft.prompt.trim() !== "";
  const start = startOf(draft);
  switch (draft.feature) {
    case "text-image":
      if (start === "nothing") need(prompt, "prompt", "Say what the video shows, or start from an image or a clip.");
      break;
    case "frames":
      break;
    case "reference":
      need(prompt, "prompt", "Say what the references do: “Image 1 meets Video 1 …”.");
      need(mediaOf(draft).length > 0, "reference_image_urls", "Add at least one image or video to refer to.");
      break;
    case "edit-video":
      need(prompt, "prompt", "Say what should change.");
      need(draft.editClip !== null, "video_url", "Add the clip to edit.");
      break;
  }
  if (draft.feature === "text-image" || draft.feature === "frames") {
    if (start === "image") need(draft.image !== null, "image_url", "Add the first frame.");
    if (start === "clip") need(draft.clip !== null, "video_url", "Add the clip to continue.");
  }
  return missing;
}

/** The seconds that the mode takes, by what the engine offers and the contract says. */
export function durationsOf(draft: Draft, limits: Limits): { min: number; max: number } {
  const { min, max } = limits.duration;
  const capped = draft.feature === "reference" && draft.referenceVideos.length > 0 ? Math.min(max, 10) : max;
  return { min, max: capped };
}

/** A draft like the one that made `input`. Media that only the server had are asked of `kept`, then named as missing. */
export function draftOf(
  generation: Generation,
  kept: ReadonlyMap<string, File[]>,
  base: Draft,
): { draft: Draft; missing: FieldError[] } {
  const input: Input = generation.input;
  const missing: FieldError[] = [];
  const taken = new Map<string, number>();
  const find = (field: string, shown: string | undefined, at = field): Medium | null => {
    if (shown === undefined) return null;
    if (/^https?:/.test(shown)) return { kind: "url", url: shown };
    const index = taken.get(field) ?? 0;
    taken.set(field, index + 1);
    const file = kept.get(field)?.[index];
    if (file !== undefined) return fromFile(file);
    missing.push({ field: at, message: `Choose “${shown.replace("upload://", "")}” again: the server does not give inputs back.` });
    return null;
  };
  const all = (field: string, shown: string[] | undefined) =>
    (shown ?? []).map((one, index) => find(field, one, `${field}[${index}]`)).filter((one) => one !== null);
  const clip = find("video_url", input.video_url);
  const edit = input.feature === "edit-video";
  const image = find("image_url", input.image_url);
  const draft: Draft = {
    ...base,
    feature: input.feature,
    prompt: input.prompt ?? "",
    negativePrompt: input.negative_prompt ?? "",
    start: input.image_url !== undefined ? "image" : input.video_url !== undefined && !edit ? "clip" : "nothing",
    image: image ?? base.image,
    endImage: find("end_image_url", input.end_image_url) ?? base.endImage,
    clip: edit ? base.clip : (clip ?? base.clip),
    editClip: edit ? clip : base.editClip,
    editImage: edit
      ? find("reference_image_url", input.reference_image_url) ?? all("reference_image_urls", input.reference_image_urls)[0] ?? null
      : base.editImage,
    referenceImages: edit ? base.referenceImages : all("reference_image_urls", input.reference_image_urls),
    referenceVideos: all("video_refs", input.video_refs),
    sound: find("audio_url", input.audio_url),
    aspect: input.aspect_ratio ?? "",
    resolution: input.resolution,
    duration: { ...base.duration, [input.feature]: input.duration },
    seed: String(input.seed),
    expand: input.enable_prompt_expansion ?? true,
    multiShots: input.multi_shots ?? false,
    keepSound: input.audio_setting === "origin",
    n: input.n ?? 1,
  };
  return { draft, missing };
}
