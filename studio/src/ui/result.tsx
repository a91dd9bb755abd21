// One generation, large: how far it is, then what came of it and where it can go on.
import { useEffect, useRef, useState } from "preact/hooks";
import { local } from "../api";
import { RATIOS, bytes, number, seconds, stageName, titleOf } from "../format";
import { takeOnward, type Onward } from "../state";
import { ENDED, type Generation, type VideoFile } from "../wire";
import { Actions, useDoing } from "./actions";
import { Icon, type IconName } from "./icons";
import { usePreview } from "./preview";

export function Result({ of }: { of: Generation }) {
  return (
    <div class="result">
      <Screen of={of} />
    </div>
  );
}

function Screen({ of }: { of: Generation }) {
  const title = titleOf(of);
  if (!ENDED.has(of.status)) {
    return (
      <>
        <Underway key={of.id} of={of} />
        <Actions of={of} title={title} />
      </>
    );
  }
  if (of.status === "COMPLETED" && of.data !== null) return <Ready of={of} files={of.data.videos} title={title} />;
  return (
    <>
      <Empty of={of} />
      <Actions of={of} title={title} />
    </>
  );
}

/** The shape the video has, or will have as far as that is known before. */
function shapeOf({ input, data }: Generation): Shape {
  const file = data?.videos[0];
  return shape(file === undefined ? RATIOS[input.aspect_ratio ?? "16:9"] : [file.width, file.height]);
}

/** Width over height, for the style sheet. */
type Shape = { "--shape": string };
export const shape = ([width, height]: readonly [number, number]): Shape => ({ "--shape": String(width / height) });

function Underway({ of }: { of: Generation }) {
  const percent = Math.round(of.progress * 100);
  const elapsed = useElapsed(of.started_at ?? of.created_at);
  const soFar = usePreview(of);
  return (
    <div class={`screen underway ${soFar === null ? "" : "seen"}`} style={shapeOf(of)}>
      {soFar !== null && <img class="so-far" src={soFar} alt={`The video so far: ${titleOf(of)}`} />}
      <div class="underway-text">
        <p class="stage-name">{stageName(of.stage)}</p>
        <progress max={100} value={percent} aria-label="Progress" />
        <p class="hint">
          <span class="percent">{percent} %</span>
          <span>{elapsed}</span>
        </p>
      </div>
    </div>
  );
}

function useElapsed(since: string): string {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const total = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  const minutes = Math.floor(total / 60);
  return minutes === 0 ? `${total} s` : `${minutes} min ${String(total % 60).padStart(2, "0")} s`;
}

/** An end without a video. */
function Empty({ of }: { of: Generation }) {
  if (of.data_removed === true) {
    return (
      <div class="screen empty" style={shapeOf(of)}>
        <Icon name="trash" />
        <p>Deleted. What it cost stays in the ledger.</p>
      </div>
    );
  }
  const failed = of.status === "FAILED";
  return (
    <div class={`screen empty ${failed ? "failed" : ""}`} style={shapeOf(of)}>
      <Icon name={failed ? "warn" : "stop"} />
      <p>{failed ? (of.message ?? "The generation failed.") : "Canceled. Its credits are back."}</p>
      {failed && of.code !== undefined && <code>{of.code}</code>}
    </div>
  );
}

const ONWARD: { to: Onward; icon: IconName; label: string }[] = [
  { to: "first", icon: "image", label: "Use as first frame" },
  { to: "last", icon: "image", label: "Use as last frame" },
  { to: "continue", icon: "clip", label: "Continue this clip" },
  { to: "reference", icon: "link", label: "Use as reference" },
  { to: "edit", icon: "edit", label: "Edit this" },
];

function Ready({ of, files, title }: { of: Generation; files: VideoFile[]; title: string }) {
  const [index, setIndex] = useState(0);
  const player = useRef<HTMLVideoElement>(null);
  const { busy, problem, run } = useDoing();
  const file = files[Math.min(index, files.length - 1)];
  if (file === undefined) return null;
  const facts = [
    `${file.width} × ${file.height}`,
    seconds(file.duration),
    `${Math.round(file.fps)} fps`,
    bytes(file.file_size),
    `seed ${(of.data?.seed ?? of.input.seed) + index}`,
    `${number(of.usage.total)} credits`,
  ];
  // A new signature of the same file is no reason to load it anew.
  const source = useStable(file.url, `${of.id} ${file.file_name}`);
  const poster = useStable(file.poster_url, `${of.id} ${file.file_name}`);
  return (
    <>
      <video
        key={source}
        ref={player}
        class="screen"
        style={shapeOf(of)}
        src={local(source)}
        poster={local(poster)}
        controls
        loop
        playsInline
        preload="auto"
        aria-label={`Video: ${title}`}
      />
      {files.length > 1 && (
        <div class="choices several" role="group" aria-label="Results">
          {files.map((each, at) => (
            <button key={each.file_name} type="button" class="plain" aria-pressed={at === index} onClick={() => setIndex(at)}>
              {at + 1}
            </button>
          ))}
        </div>
      )}
      <p class="facts-line">
        {facts.map((fact) => (
          <span key={fact}>{fact}</span>
        ))}
      </p>
      {(of.data?.warnings ?? []).map(({ code, message }) => (
        <p class="remark" key={code}>
          <Icon name="warn" />
          {message}
        </p>
      ))}
      <div class="onward">
        <a class="plain main" href={local(file.url)} download={file.file_name}>
          <Icon name="down" />
          Download
        </a>
        {ONWARD.map(({ to, icon, label }) => (
          <button key={to} type="button" class="plain" disabled={busy} onClick={() => run(() => takeOnward(to, file, player.current))}>
            <Icon name={icon} />
            {label}
          </button>
        ))}
      </div>
      {problem !== null && (
        <p class="fault" role="alert">
          {problem}
        </p>
      )}
      <Actions of={of} title={title} />
    </>
  );
}

/** The first value seen under a name. */
function useStable(value: string, name: string): string {
  const kept = useRef({ name, value });
  if (kept.current.name !== name) kept.current = { name, value };
  return kept.current.value;
}
