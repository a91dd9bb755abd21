// A place for one image, clip or sound: dropped, chosen or named by its address.
import { useEffect, useRef, useState } from "preact/hooks";
import { fromFile, type Medium } from "../draft";
import { bytes, seconds } from "../format";
import { FaultText } from "./field";
import { Icon, type IconName } from "./icons";

export type MediumKind = "image" | "video" | "audio";

const KINDS: Record<MediumKind, { accept: string; icon: IconName; takes: string; noun: string }> = {
  image: { accept: "image/jpeg,image/png,image/webp,image/bmp", icon: "image", takes: "JPEG, PNG, WebP or BMP, up to 20 MB", noun: "an image" },
  video: { accept: "video/mp4,video/quicktime", icon: "clip", takes: "MP4 or MOV, up to 100 MB", noun: "a clip" },
  audio: { accept: "audio/mpeg,audio/wav,audio/x-wav,.mp3,.wav", icon: "sound", takes: "MP3 or WAV, 2–30 s", noun: "a sound" },
};

interface Props {
  /** The member it is sent as; also what errors name. */
  field: string;
  kind: MediumKind;
  label: string;
  hint?: string | undefined;
  value: Medium | null;
  onChange: (medium: Medium | null) => void;
  fault?: string | undefined;
  /** Where several files may be taken at once: what to do with them. */
  onSeveral?: (media: Medium[]) => void;
}

export function MediumSlot({ field, kind, label, hint, value, onChange, fault, onSeveral }: Props) {
  const { accept, icon, takes, noun } = KINDS[kind];
  const [over, setOver] = useState(false);
  const [naming, setNaming] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const id = `in-${field.replace(/\W+/g, "-")}`;

  const take = (files: FileList | null | undefined) => {
    const media = [...(files ?? [])].map(fromFile);
    if (media[0] === undefined) return;
    if (onSeveral !== undefined) onSeveral(media);
    else onChange(media[0]);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer?.files);
  };

  return (
    <div
      class={`slot ${over ? "over" : ""} ${fault === undefined ? "" : "faulty"}`}
      role="group"
      aria-labelledby={`${id}-label`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => {
        // Going over a part of the slot leaves it as little as entering it.
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false);
      }}
      onDrop={drop}
    >
      <div class="field-head">
        <span class="label" id={`${id}-label`}>
          {label}
        </span>
        {value === null && (
          <button type="button" class="quiet" aria-expanded={naming} onClick={() => setNaming(!naming)}>
            <Icon name="link" />
            {naming ? "Choose a file" : "Use an address"}
          </button>
        )}
      </div>
      {value !== null ? (
        <Shown medium={value} kind={kind} label={label} onRemove={() => onChange(null)} />
      ) : naming ? (
        <AddressLine
          id={id}
          label={`Address of ${noun}`}
          described={`${id}-hint ${id}-fault`}
          onDone={(url) => {
            onChange({ kind: "url", url });
            setNaming(false);
          }}
        />
      ) : (
        <label class="drop">
          <input
            ref={picker}
            type="file"
            id={id}
            class="unseen"
            accept={accept}
            multiple={onSeveral !== undefined}
            aria-label={`${label}: choose ${noun}`}
            aria-describedby={`${id}-hint ${id}-fault`}
            aria-invalid={fault !== undefined}
            onChange={(event) => {
              take(event.currentTarget.files);
              event.currentTarget.value = "";
            }}
          />
          <Icon name={icon} />
          <span>
            Drop {noun} here or <b>choose</b>
          </span>
        </label>
      )}
      {value === null && (
        <p class="hint" id={`${id}-hint`}>
          {hint === undefined ? takes : `${hint} ${takes}.`}
        </p>
      )}
      <FaultText id={`${id}-fault`} text={fault} />
    </div>
  );
}

function AddressLine({ id, label, described, onDone }: { id: string; label: string; described: string; onDone: (url: string) => void }) {
  const [url, setUrl] = useState("");
  const use = () => url.trim() !== "" && onDone(url.trim());
  return (
    <div class="address">
      <input
        id={id}
        type="url"
        inputMode="url"
        placeholder="https://"
        aria-label={label}
        aria-describedby={described}
        value={url}
        autoFocus
        onInput={(event) => setUrl(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
          event.preventDefault();
          use();
        }}
        onBlur={use}
      />
      <button type="button" class="plain" onClick={use}>
        Use
      </button>
    </div>
  );
}

function Shown({ medium, kind, label, onRemove }: { medium: Medium; kind: MediumKind; label: string; onRemove: () => void }) {
  return (
    <div class="shown">
      <Preview medium={medium} kind={kind} />
      <Facts medium={medium} kind={kind} />
      <button type="button" class="round" aria-label={`Remove ${label.toLowerCase()}`} onClick={onRemove}>
        <Icon name="close" />
      </button>
    </div>
  );
}

/** What was chosen. Addresses are not opened from here: whose they are, they are not told that somebody looks. */
export function Preview({ medium, kind }: { medium: Medium; kind: MediumKind }) {
  if (medium.kind === "url") {
    return (
      <div class="preview">
        <Icon name="link" />
      </div>
    );
  }
  if (kind === "image") return <img class="preview" src={medium.preview} alt="" />;
  if (kind === "video") return <video class="preview" src={medium.preview} muted preload="metadata" aria-hidden="true" tabIndex={-1} />;
  return (
    <div class="preview">
      <Icon name="sound" />
    </div>
  );
}

export function Facts({ medium, kind }: { medium: Medium; kind: MediumKind }) {
  const measured = useMeasure(medium, kind);
  if (medium.kind === "url") {
    return (
      <div class="facts">
        <span class="name">{medium.url}</span>
        <span class="hint">Fetched and checked once it is sent</span>
      </div>
    );
  }
  return (
    <div class="facts">
      <span class="name">{medium.file.name}</span>
      <span class="hint">{[measured, bytes(medium.file.size)].filter(Boolean).join(" · ")}</span>
    </div>
  );
}

/** Size and length, as this browser sees them. */
function useMeasure(medium: Medium, kind: MediumKind): string {
  const [measured, setMeasured] = useState("");
  const source = medium.kind === "file" ? medium.preview : "";
  useEffect(() => {
    setMeasured("");
    if (source === "") return;
    let live = true;
    if (kind === "image") {
      const image = new Image();
      image.onload = () => live && setMeasured(`${image.naturalWidth} × ${image.naturalHeight}`);
      image.src = source;
    } else {
      const media = document.createElement(kind);
      media.preload = "metadata";
      media.onloadedmetadata = () => {
        const size = media instanceof HTMLVideoElement ? `${media.videoWidth} × ${media.videoHeight} · ` : "";
        if (live) setMeasured(`${size}${seconds(media.duration)}`);
      };
      media.src = source;
    }
    return () => {
      live = false;
    };
  }, [source, kind]);
  return measured;
}
