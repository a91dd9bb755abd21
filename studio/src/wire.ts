// What the API sends and takes, as far as the pages read it. The full description is the server's /openapi.json.

export const FEATURES = ["text-image", "frames", "reference", "edit-video"] as const;
export type Feature = (typeof FEATURES)[number];
export type AspectRatio = "16:9" | "9:16" | "1:1" | "4:3" | "3:4";
export type Resolution = "720p" | "1080p";
export type State = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED" | "FAILED" | "CANCELED";

export const ENDED: ReadonlySet<State> = new Set<State>(["COMPLETED", "FAILED", "CANCELED"]);
export const PROMPT_MAX = 5000;
export const NEGATIVE_PROMPT_MAX = 500;

export interface Usage {
  total: number;
  subscription: number;
  permanent: number;
}

export interface Input {
  feature: Feature;
  prompt?: string;
  negative_prompt?: string;
  image_url?: string;
  end_image_url?: string;
  video_url?: string;
  reference_image_urls?: string[];
  reference_image_url?: string;
  video_refs?: string[];
  audio_url?: string;
  aspect_ratio?: AspectRatio;
  resolution: Resolution;
  duration: number;
  enable_prompt_expansion?: boolean;
  multi_shots?: boolean;
  audio_setting: "auto" | "origin";
  seed: number;
  n?: number;
}

export interface VideoFile {
  url: string;
  file_name: string;
  content_type: string;
  width: number;
  height: number;
  duration: number;
  fps: number;
  num_frames: number;
  file_size: number;
  poster_url: string;
}

export interface Result {
  n: number;
  actual_prompt?: string | null;
  seed: number;
  videos: VideoFile[];
  warnings?: { code: string; message: string }[];
}

export interface Generation {
  id: string;
  status: State;
  input: Input;
  data: Result | null;
  data_removed?: boolean;
  usage: Usage;
  code?: string;
  message?: string;
  progress: number;
  stage: string;
  model: string;
  created_at: string;
  started_at?: string;
  completed_at?: string;
}

/** One event of a stream: a generation without what does not change. */
export type Event = Pick<Generation, "id" | "status" | "data" | "usage" | "progress" | "stage" | "code" | "message">;

export interface Page<T> {
  data: T[];
  has_more: boolean;
  next_cursor: string | null;
}

export interface Credits extends Usage {
  held: Usage;
}

export interface Entry {
  id: string;
  created_at: string;
  type: string;
  generation_id?: string;
  amount: Usage;
}

export interface Quote {
  feature: Feature;
  usage: Usage;
  breakdown: { credits_per_second: number; input_seconds: number; output_seconds: number; n: number };
  exact: boolean;
  sufficient: boolean;
}

export interface Limits {
  feature: Feature;
  /** What a clip can start from. */
  starts: string[];
  resolutions: Resolution[];
  aspect_ratios: AspectRatio[];
  duration: { min: number; max: number; default: number };
  max_reference_images: number;
  max_reference_videos: number;
  max_references: number;
  audio_input: boolean;
}

export interface Model {
  id: string;
  endpoint: string;
  features: Limits[];
  prices: { resolution: Resolution; feature: Feature; credits_per_second: number; bills_input: boolean }[];
}

export interface FieldError {
  field: string;
  message: string;
}

export interface ErrorBody {
  code: string;
  message: string;
  errors?: FieldError[];
}
