// The references of a prompt: images and videos, numbered as the prompt calls them, in an order that can be changed.
import type { Draft, Medium } from "../draft";
import { edit } from "../state";
import type { FieldError, Limits } from "../wire";
import { FaultText, faultOf } from "./field";
import { Icon } from "./icons";
import { Facts, MediumSlot, Preview, type MediumKind } from "./medium";

interface ListProps {
  kind: MediumKind;
  field: string;
  noun: string;
  items: Medium[];
  most: number;
  /** Why no more can be added. */
  full: string;
  faults: FieldError[];
  onChange: (items: Medium[]) => void;
}

export function References({ draft, limits, faults }: { draft: Draft; limits: Limits | null; faults: FieldError[] }) {
  const { referenceImages: images, referenceVideos: videos } = draft;
  const together = limits?.max_references ?? 16;
  const room = together - images.length - videos.length;
  const most = (own: number, there: number) => Math.min(own, there + Math.max(0, room));
  const limit = (own: number, noun: string) =>
    own === 0
      ? `The engine of this server takes no reference ${noun}.`
      : `${room <= 0 ? `${together} references` : `${own} ${noun}`} at most.`;
  const imagesMax = limits?.max_reference_images ?? 8;
  const videosMax = limits?.max_reference_videos ?? 8;
  return (
    <>
      <List
        kind="image"
        field="reference_image_urls"
        noun="Image"
        items={images}
        most={most(imagesMax, images.length)}
        full={limit(imagesMax, "images")}
        faults={faults}
        onChange={(referenceImages) => edit({ referenceImages }, ["reference_image_urls"])}
      />
      <List
        kind="video"
        field="video_refs"
        noun="Video"
        items={videos}
        most={most(videosMax, videos.length)}
        full={limit(videosMax, "videos")}
        faults={faults}
        onChange={(referenceVideos) => edit({ referenceVideos }, ["video_refs", "reference_image_urls", "duration"])}
      />
    </>
  );
}

function List({ kind, field, noun, items, most, full, faults, onChange }: ListProps) {
  const swap = (index: number, by: number) => {
    const next = [...items];
    [next[index], next[index + by]] = [next[index + by]!, next[index]!];
    onChange(next);
  };
  return (
    <div class="references">
      <ol aria-label={`Reference ${noun.toLowerCase()}s`}>
        {items.map((medium, index) => {
          const name = `${noun} ${index + 1}`;
          const fault = faultOf(faults, `${field}[${index}]`);
          return (
            <li key={medium.kind === "file" ? medium.preview : medium.url} class={fault === undefined ? "" : "faulty"}>
              <div class="shown">
                <Preview medium={medium} kind={kind} />
                <div class="facts">
                  <span class="badge">{name}</span>
                  <Facts medium={medium} kind={kind} />
                </div>
                <div class="order">
                  <button type="button" class="round" aria-label={`Move ${name} forward`} disabled={index === 0} onClick={() => swap(index, -1)}>
                    <Icon name="left" />
                  </button>
                  <button type="button" class="round" aria-label={`Move ${name} back`} disabled={index === items.length - 1} onClick={() => swap(index, 1)}>
                    <Icon name="right" />
                  </button>
                  <button type="button" class="round" aria-label={`Remove ${name}`} onClick={() => onChange(items.filter((_, at) => at !== index))}>
                    <Icon name="close" />
                  </button>
                </div>
              </div>
              <FaultText id={`${field}-${index}-fault`} text={fault} />
            </li>
          );
        })}
      </ol>
      {items.length < most ? (
        <MediumSlot
          field={field}
          kind={kind}
          label={items.length === 0 ? `Reference ${noun.toLowerCase()}s` : `Another ${noun.toLowerCase()}`}
          hint={items.length === 0 ? `The prompt calls them “${noun} 1”, “${noun} 2” …` : undefined}
          value={null}
          onChange={(medium) => medium !== null && onChange([...items, medium])}
          onSeveral={(more) => onChange([...items, ...more])}
          fault={faultOf(faults, field)}
        />
      ) : (
        <>
          <p class="hint">{full}</p>
          <FaultText id={`${field}-fault`} text={faultOf(faults, field)} />
        </>
      )}
    </div>
  );
}
