// A request for each workflow, as it is shown in every language. The tests run them against a server.
import type { Request } from "../code";
import { EMPTY, mediaOf, modelOf, scalarsOf, type Draft, type Medium } from "../draft";

const file = (name: string): Medium => ({ kind: "file", file: new File([], name), preview: "" });

interface Workflow {
  id: string;
  title: string;
  text: string;
  draft: Partial<Draft>;
}

export const WORKFLOWS: Workflow[] = [
  {
    id: "text-image",
    title: "Text and image",
    text:
      "Words alone, or with a first frame in `image_url`. With a clip in `video_url` instead the clip is continued; `duration` is " +
      "then the whole length. A clip with an instruction and no `feature` is continued, not edited.",
    draft: { feature: "text-image", prompt: "A paper boat crosses a rain puddle, macro shot" },
  },
  {
    id: "frames",
    title: "First and last frame",
    text: "The video begins with `image_url` and ends with `end_image_url`. Without `aspect_ratio` it takes the shape of the first.",
    draft: {
      feature: "frames",
      start: "image",
      prompt: "The picture slowly grows",
      image: file("first.png"),
      endImage: file("last.png"),
    },
  },
  {
    id: "reference",
    title: "Reference",
    text:
      "Images and videos that the prompt calls “Image 1”, “Video 1”, in the order in which they are sent, counted apart. Members " +
      "that are lists are sent as repeated parts.",
    draft: {
      feature: "reference",
      prompt: "The colours of Image 1 move like Video 1",
      referenceImages: [file("first.png")],
      referenceVideos: [file("clip.mp4")],
    },
  },
  {
    id: "edit-video",
    title: "Edit",
    text:
      "Changes the clip in `video_url` as the prompt says. `feature` has to be sent where there is no reference image: a clip " +
      "alone would be continued. `duration` 0 keeps its length.",
    draft: { feature: "edit-video", prompt: "Make it night, with lanterns", editClip: file("clip.mp4") },
  },
];

export function requestOf(workflow: Workflow, origin: string): Request {
  const draft: Draft = { ...EMPTY, ...workflow.draft };
  return { origin, model: modelOf(draft), media: mediaOf(draft), scalars: scalarsOf(draft) };
}

/** Files for whoever has none at hand. */
export const SAMPLE_FILES = `export KINORA_API_KEY=…
ffmpeg -f lavfi -i testsrc2=size=640x360:rate=24 -t 3 -pix_fmt yuv420p clip.mp4
ffmpeg -i clip.mp4 -frames:v 1 first.png
ffmpeg -sseof -0.2 -i clip.mp4 -frames:v 1 last.png`;
