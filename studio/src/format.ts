// Numbers, times and names as people read them.
import type { AspectRatio, Feature, Generation, State } from "./wire";

export const FEATURE_NAMES: Record<Feature, string> = {
  "text-image": "Text & image",
  frames: "First & last frame",
  reference: "Reference",
  "edit-video": "Edit",
};

export const STATE_NAMES: Record<State, string> = {
  IN_QUEUE: "In the queue",
  IN_PROGRESS: "In progress",
  COMPLETED: "Ready",
  FAILED: "Failed",
  CANCELED: "Canceled",
};

const STAGES: Record<string, string> = {
  queued: "In the queue",
  preparing: "Looking at the inputs",
  encoding: "Reading prompt and inputs",
  denoising: "Drawing the frames",
  decoding: "Developing the frames",
  finishing: "Writing the video",
  retrying: "Trying again",
  canceling: "Canceling",
  done: "Done",
};

export function stageName(stage: string): string {
  return STAGES[stage] ?? stage;
}

export const bytes = (count: number): string =>
  count < 1 << 20 ? `${Math.max(1, Math.round(count / 1024))} kB` : `${(count / (1 << 20)).toFixed(1)} MB`;

export const seconds = (value: number): string => `${Number(value.toFixed(1))} s`;

export const number = (value: number): string => value.toLocaleString("en");

export function when(time: string, clockHas: Intl.DateTimeFormatOptions = {}): string {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  const clock = date.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false, ...clockHas });
  return today ? `today, ${clock}` : `${date.toLocaleDateString("en", { day: "numeric", month: "short" })}, ${clock}`;
}

/** To the second. */
export const moment = (time: string): string => when(time, { second: "2-digit" });

/** What to call a generation: its prompt, or what it was made from. */
export function titleOf({ input }: Generation): string {
  if (input.prompt !== undefined) return input.prompt;
  return input.video_url !== undefined ? "A clip, continued" : "An image, in motion";
}

export const RATIOS: Record<AspectRatio, [number, number]> = {
  "16:9": [16, 9],
  "9:16": [9, 16],
  "1:1": [1, 1],
  "4:3": [4, 3],
  "3:4": [3, 4],
};

/** The length of a text as the API counts it. */
export const characters = (text: string): number => [...text].length;
