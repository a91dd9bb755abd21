// The form: four modes, what each takes, what the engine cannot do and why, the price, and the button.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useCell } from "../cell";
import { barredStart, durationsOf, startOf, type Draft, type Start } from "../draft";
import { FEATURE_NAMES, RATIOS, characters, number, seconds } from "../format";
import { useQuote, type Price } from "../quote";
import { key } from "../session";
import { credits, draft, edit, faults, limitsOf, models, sending, staged, submit, trouble } from "../state";
import { Choices, FaultText, Field, Switch, faultOf } from "../ui/field";
import { focusFault } from "../ui/form";
import { Icon } from "../ui/icons";
import { MediumSlot } from "../ui/medium";
import { More } from "../ui/more";
import { References } from "../ui/references";
import { FEATURES, NEGATIVE_PROMPT_MAX, PROMPT_MAX, type AspectRatio, type Feature, type FieldError, type Limits } from "../wire";
import { CodeDialog } from "./code";
import { Stage } from "./stage";

export function Create() {
  const current = useCell(draft);
  const offered = useCell(models);
  const wrong = useCell(faults);
  const signedIn = useCell(key) !== "";
  const price = useQuote(current, signedIn && offered !== null);
  const limits = limitsOf(offered, current.feature);
  const shown = useMemo(() => together(wrong, price), [wrong, price]);
  const form = useRef<HTMLFormElement>(null);
  const [code, setCode] = useState(false);

  const send = async () => {
    if (await submit()) scrollToStage();
    else focusFault(form.current);
  };

  return (
    <main class="create" id="main" tabIndex={-1}>
      <form
        ref={form}
        class="compose"
        aria-label="New video"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          void send();
        }}
      >
        <div class="compose-body">
          <h1 class="unseen" tabIndex={-1}>
            Create a video
          </h1>
          <Modes current={current.feature} offered={offered !== null ? FEATURES.filter((feature) => limitsOf(offered, feature)) : FEATURES} />
          <div id="mode" role="tabpanel" aria-labelledby={`tab-${current.feature}`}>
            {offered !== null && limits === null ? (
              <p class="notice">The engine of this server does not offer this workflow.</p>
            ) : (
              <>
                <Inputs draft={current} limits={limits} faults={shown} />
                <Prompt draft={current} faults={shown} />
                <Settings draft={current} limits={limits} faults={shown} />
              </>
            )}
          </div>
        </div>
        <Sending price={price} onCode={() => setCode(true)} barred={offered !== null && limits === null} />
      </form>
      <Stage />
      {code && <CodeDialog draft={current} onClose={() => setCode(false)} />}
    </main>
  );
}

/** What the last try was told, and what the price would be told now; of a field, the first. */
function together(faults: FieldError[], price: Price): FieldError[] {
  if (price.is !== "refused") return faults;
  return [...faults, ...price.fields.filter(({ field }) => field !== "prompt")];
}

function scrollToStage(): void {
  const stage = document.getElementById("stage");
  if (stage !== null && matchMedia("(max-width: 1000px)").matches) stage.scrollIntoView({ behavior: "smooth" });
}

const MODE_HINTS: Record<Feature, string> = {
  "text-image": "Words, an image or a clip set the beginning; the model goes on from there.",
  frames: "The video begins with one image and ends with another.",
  reference: "People, things and places from your images and videos, in a new scene.",
  "edit-video": "Change a clip by saying what should be different.",
};

function Modes({ current, offered }: { current: Feature; offered: readonly Feature[] }) {
  const choose = (feature: Feature) => {
    edit({ feature });
    faults.set([]);
  };
  const step = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const next = offered[(offered.indexOf(current) + by + offered.length) % offered.length];
    if (next === undefined) return;
    choose(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <>
      <div class="modes" role="tablist" aria-label="Workflow" onKeyDown={step}>
        {FEATURES.map((feature) => (
          <button
            key={feature}
            type="button"
            role="tab"
            id={`tab-${feature}`}
            aria-selected={feature === current}
            aria-controls="mode"
            tabIndex={feature === current ? 0 : -1}
            disabled={!offered.includes(feature)}
            title={offered.includes(feature) ? undefined : "The engine of this server does not offer this workflow."}
            onClick={() => choose(feature)}
          >
            {FEATURE_NAMES[feature]}
          </button>
        ))}
      </div>
      <p class="lead">{MODE_HINTS[current]}</p>
    </>
  );
}

interface Part {
  draft: Draft;
  limits: Limits | null;
  faults: FieldError[];
}

function Inputs({ draft, limits, faults }: Part) {
  const fault = (field: string) => faultOf(faults, field);
  switch (draft.feature) {
    case "text-image":
      return (
        <>
          <StartChoice draft={draft} limits={limits} />
          <Beginning draft={draft} faults={faults} />
        </>
      );
    case "frames":
      return (
        <>
          <StartChoice draft={draft} limits={limits} />
          <div class="pair">
            <Beginning draft={draft} faults={faults} />
            <MediumSlot
              field="end_image_url"
              kind="image"
              label="Last frame"
              value={draft.endImage}
              onChange={(endImage) => edit({ endImage }, ["end_image_url"])}
              fault={fault("end_image_url")}
            />
          </div>
        </>
      );
    case "reference":
      return <References draft={draft} limits={limits} faults={faults} />;
    case "edit-video":
      return (
        <div class="pair">
          <MediumSlot
            field="video_url"
            kind="video"
            label="Clip to edit"
            hint="2–10 s."
            value={draft.editClip}
            onChange={(editClip) => edit({ editClip }, ["video_url", "duration"])}
            fault={fault("video_url")}
          />
          {(limits?.max_reference_images ?? 1) > 0 ? (
            <MediumSlot
              field="reference_image_url"
              kind="image"
              label="Reference image (optional)"
              value={draft.editImage}
              onChange={(editImage) => edit({ editImage }, ["reference_image_url", "reference_image_urls"])}
              fault={fault("reference_image_url") ?? fault("reference_image_urls")}
            />
          ) : (
            <p class="notice">The engine of this server takes no reference image for edits.</p>
          )}
        </div>
      );
  }
}

function StartChoice({ draft, limits }: { draft: Draft; limits: Limits | null }) {
  const choices: { value: Start; label: string }[] = [
    { value: "image", label: "An image" },
    { value: "clip", label: "A clip, continued" },
  ];
  if (draft.feature === "text-image") choices.unshift({ value: "nothing", label: "Words only" });
  return (
    <Choices
      name="start"
      label="Start from"
      value={startOf(draft)}
      choices={choices.map((choice) => ({ ...choice, barred: barredStart(draft.feature, choice.value, limits) }))}
      onChange={(start) => edit({ start }, ["image_url", "video_url", "audio_url", "prompt", "duration"])}
    />
  );
}

function Beginning({ draft, faults }: { draft: Draft; faults: FieldError[] }) {
  switch (startOf(draft)) {
    case "nothing":
      return null;
    case "image":
      return (
        <MediumSlot
          field="image_url"
          kind="image"
          label="First frame"
          value={draft.image}
          onChange={(image) => edit({ image }, ["image_url"])}
          fault={faultOf(faults, "image_url")}
        />
      );
    case "clip":
      return (
        <MediumSlot
          field="video_url"
          kind="video"
          label="Clip to continue"
          hint="2–10 s. To change a clip instead, use Edit."
          value={draft.clip}
          onChange={(clip) => edit({ clip }, ["video_url", "duration"])}
          fault={faultOf(faults, "video_url")}
        />
      );
  }
}

function Sound({ draft, limits, faults }: Part) {
  const barred =
    startOf(draft) === "clip"
      ? "A clip is continued with its own sound: no other can be added."
      : limits !== null && !limits.audio_input
        ? "The engine of this server takes no sound."
        : null;
  if (barred !== null) return draft.sound === null ? null : <p class="notice">{barred}</p>;
  return (
    <More wanted={draft.sound !== null || faultOf(faults, "audio_url") !== undefined} summary={<><Icon name="sound" /> Sound</>}>
      <MediumSlot
        field="audio_url"
        kind="audio"
        label="Sound (optional)"
        hint="Drives the video, or goes with it. Longer than the video, it is cut."
        value={draft.sound}
        onChange={(sound) => edit({ sound }, ["audio_url"])}
        fault={faultOf(faults, "audio_url")}
      />
    </More>
  );
}

const PROMPT_LABELS: Record<Feature, [string, string]> = {
  "text-image": ["Prompt", "A paper boat crosses a rain puddle, macro shot"],
  frames: ["Prompt (optional)", "The boat drifts from one shore to the other"],
  reference: ["Prompt", "Image 1 walks along the beach of Image 2 at dusk"],
  "edit-video": ["What should change", "Make it night, with lanterns in the windows"],
};

function Prompt({ draft, faults }: { draft: Draft; faults: FieldError[] }) {
  const [label, example] = PROMPT_LABELS[draft.feature];
  const optional = draft.feature === "text-image" && startOf(draft) !== "nothing";
  const length = characters(draft.prompt);
  return (
    <Field
      id="prompt"
      label={optional ? "Prompt (optional)" : label}
      fault={faultOf(faults, "prompt")}
      aside={
        length > PROMPT_MAX * 0.8 && (
          <span class={`count ${length > PROMPT_MAX ? "over" : ""}`}>
            {number(length)} of {number(PROMPT_MAX)}
          </span>
        )
      }
    >
      {(described) => (
        <textarea
          {...described}
          rows={4}
          placeholder={example}
          value={draft.prompt}
          onInput={(event) => edit({ prompt: event.currentTarget.value }, ["prompt"])}
        />
      )}
    </Field>
  );
}

function Settings({ draft, limits, faults }: Part) {
  const fault = (field: string) => faultOf(faults, field);
  const several = draft.feature === "edit-video" && draft.n > 1;
  const faulty = ["negative_prompt", "seed", "enable_prompt_expansion", "audio_setting", "n"].some((field) => fault(field) !== undefined);
  return (
    <>
      <Aspect draft={draft} limits={limits} fault={fault("aspect_ratio")} />
      <div class="pair">
        <Choices
          name="resolution"
          label="Resolution"
          value={draft.resolution}
          fault={fault("resolution")}
          choices={(["720p", "1080p"] as const).map((value) => ({
            value,
            label: value,
            barred: limits !== null && !limits.resolutions.includes(value) ? `The engine of this server does not make ${value}.` : undefined,
          }))}
          onChange={(resolution) => edit({ resolution }, ["resolution"])}
        />
        <Duration draft={draft} limits={limits} fault={fault("duration")} />
      </div>
      {draft.feature === "reference" && (
        <Switch
          id="multi-shots"
          label="Several shots"
          hint="The prompt is told in several shots, cut together."
          checked={draft.multiShots}
          onChange={(multiShots) => edit({ multiShots }, ["multi_shots"])}
          fault={fault("multi_shots")}
        />
      )}
      {(draft.feature === "text-image" || draft.feature === "frames") && <Sound draft={draft} limits={limits} faults={faults} />}
      <More wanted={faulty} summary={<><Icon name="sliders" /> More settings</>}>
        <div class="more-body">
          <Seed draft={draft} fault={fault("seed")} />
          <Negative draft={draft} fault={fault("negative_prompt")} barred={several} />
          <Switch
            id="expand"
            label="Let the prompt be expanded"
            hint={several ? "Several clips of one edit take the prompt as it is." : "Where the server can, it writes a short prompt out before it is used."}
            checked={draft.expand && !several}
            barred={several ? "Several clips of one edit take the prompt as it is." : undefined}
            onChange={(expand) => edit({ expand }, ["enable_prompt_expansion"])}
            fault={fault("enable_prompt_expansion")}
          />
          {draft.feature === "edit-video" && (
            <>
              <Switch
                id="keep-sound"
                label="Keep the clip’s own sound"
                hint="Otherwise it is replaced where the prompt speaks of sound."
                checked={draft.keepSound}
                onChange={(keepSound) => edit({ keepSound }, ["audio_setting"])}
                fault={fault("audio_setting")}
              />
              <Choices
                name="n"
                label="How many results, each with the next seed"
                value={String(draft.n)}
                choices={["1", "2", "3", "4"].map((value) => ({ value, label: value }))}
                onChange={(n) => edit({ n: Number(n) }, ["n"])}
                fault={fault("n")}
              />
            </>
          )}
        </div>
      </More>
    </>
  );
}

function Aspect({ draft, limits, fault }: { draft: Draft; limits: Limits | null; fault: string | undefined }) {
  const start = startOf(draft);
  const follows = draft.feature === "edit-video" || (draft.feature !== "reference" && start !== "nothing");
  const source = draft.feature === "edit-video" || start === "clip" ? "As the clip" : "As the image";
  const ratios = Object.keys(RATIOS) as AspectRatio[];
  const value = draft.aspect === "" && !follows ? "16:9" : draft.aspect;
  return (
    <Choices
      name="aspect"
      label="Aspect ratio"
      value={value}
      fault={fault}
      choices={[
        ...(follows ? [{ value: "" as const, label: source }] : []),
        ...ratios.map((ratio) => ({
          value: ratio,
          label: <Ratio ratio={ratio} />,
          barred: limits !== null && !limits.aspect_ratios.includes(ratio) ? `The engine of this server does not make ${ratio}.` : undefined,
        })),
      ]}
      onChange={(aspect) => edit({ aspect }, ["aspect_ratio"])}
    />
  );
}

function Ratio({ ratio }: { ratio: AspectRatio }) {
  const [width, height] = RATIOS[ratio];
  const scale = 14 / Math.max(width, height);
  return (
    <span class="ratio">
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <rect x={8 - (width * scale) / 2} y={8 - (height * scale) / 2} width={width * scale} height={height * scale} rx="1.5" />
      </svg>
      {ratio}
    </span>
  );
}

function Duration({ draft, limits, fault }: { draft: Draft; limits: Limits | null; fault: string | undefined }) {
  const { min, max } = limits === null ? { min: draft.feature === "edit-video" ? 0 : 2, max: 15 } : durationsOf(draft, limits);
  // 1 is never taken; 0 stands for the clip's own length.
  const values = Array.from({ length: max - min + 1 }, (_, step) => min + step).filter((value) => value !== 1);
  const value = Math.min(draft.duration[draft.feature], max);
  useEffect(() => {
    if (value !== draft.duration[draft.feature]) edit({ duration: { ...draft.duration, [draft.feature]: value } });
  }, [value, draft.feature]);
  const continued = draft.feature !== "reference" && draft.feature !== "edit-video" && startOf(draft) === "clip";
  const said = value === 0 ? "Whole clip" : seconds(value);
  return (
    <Field
      id="duration"
      label="Duration"
      fault={fault}
      hint={continued ? "In total, including the clip." : draft.feature === "reference" && draft.referenceVideos.length > 0 ? "With reference videos, 10 s at most." : undefined}
      aside={
        <output for="duration" class="count">
          {said}
        </output>
      }
    >
      {(described) => (
        <input
          {...described}
          type="range"
          min={0}
          max={values.length - 1}
          step={1}
          value={values.indexOf(value)}
          aria-valuetext={said}
          onInput={(event) =>
            edit({ duration: { ...draft.duration, [draft.feature]: values[Number(event.currentTarget.value)] ?? value } }, ["duration"])
          }
        />
      )}
    </Field>
  );
}

function Seed({ draft, fault }: { draft: Draft; fault: string | undefined }) {
  const draw = () => edit({ seed: String(crypto.getRandomValues(new Uint32Array(1))[0]! & 0x7fffffff) }, ["seed"]);
  return (
    <Field id="seed" label="Seed" hint="The same request with the same seed gives the same video. Empty: the server draws one." fault={fault}>
      {(described) => (
        <div class="with-button">
          <input
            {...described}
            inputMode="numeric"
            autoComplete="off"
            placeholder="drawn"
            value={draft.seed}
            onInput={(event) => edit({ seed: event.currentTarget.value }, ["seed"])}
          />
          <button type="button" class="plain" onClick={draw}>
            <Icon name="dice" /> Draw
          </button>
        </div>
      )}
    </Field>
  );
}

function Negative({ draft, fault, barred }: { draft: Draft; fault: string | undefined; barred: boolean }) {
  const length = characters(draft.negativePrompt);
  return (
    <Field
      id="negative"
      label="Leave out"
      hint={barred ? "Several clips of one edit take no negative prompt." : "What the video should not show."}
      fault={fault}
      aside={length > NEGATIVE_PROMPT_MAX * 0.8 && <span class={`count ${length > NEGATIVE_PROMPT_MAX ? "over" : ""}`}>{length} of {NEGATIVE_PROMPT_MAX}</span>}
    >
      {(described) => (
        <input
          {...described}
          disabled={barred}
          placeholder="text, watermark"
          value={draft.negativePrompt}
          onInput={(event) => edit({ negativePrompt: event.currentTarget.value }, ["negative_prompt"])}
        />
      )}
    </Field>
  );
}

function Sending({ price, onCode, barred }: { price: Price; onCode: () => void; barred: boolean }) {
  const busy = useCell(sending);
  const balance = useCell(credits);
  const problem = useCell(trouble);
  const last = useCell(staged);
  const short = price.is === "known" && balance !== null && price.total > balance.total;
  return (
    <div class="sending">
      {problem !== null && (
        <p class="trouble" role="alert">
          <Icon name="warn" /> {problem}
        </p>
      )}
      <div class="price" aria-live="polite">
        <PriceText price={price} />
        {short && <FaultText id="short" text={`the balance of ${number(balance.total)} credits does not suffice`} />}
      </div>
      <div class="buttons">
        <button type="button" class="plain" onClick={onCode} title="This request as curl, Python or TypeScript">
          <Icon name="code" /> Copy as code
        </button>
        <button type="submit" class="main" disabled={busy || barred} aria-keyshortcuts="Control+Enter">
          {busy ? "Sending …" : last === null ? "Make the video" : "Make another"}
        </button>
      </div>
    </div>
  );
}

function PriceText({ price }: { price: Price }) {
  switch (price.is) {
    case "unknown":
      return <span class="hint">The price is shown once the inputs are there.</span>;
    case "asked":
      return <span class="hint">Asking for the price …</span>;
    case "refused":
      return <span class="hint">{price.fields.length > 0 ? "No price as long as a field needs attention." : price.message}</span>;
    case "known":
      return (
        <span>
          <b>
            {price.exact ? "" : "At most "}
            {number(price.total)} credits
          </b>{" "}
          <span class="hint">
            {price.exact ? `${price.rate} a second, ${seconds(price.billed)}` : "the rest is given back once the clip is measured"}
          </span>
        </span>
      );
  }
}
