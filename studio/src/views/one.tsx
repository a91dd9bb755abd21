// One generation by its address: the result, and everything that made it.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useCell } from "../cell";
import { FEATURE_NAMES, STATE_NAMES, number, seconds, titleOf, when } from "../format";
import { hrefOf, route } from "../route";
import { ensure, list } from "../state";
import { Icon } from "../ui/icons";
import { Result } from "../ui/result";
import type { Generation } from "../wire";

export function One() {
  const current = useCell(route);
  const all = useCell(list);
  const [problem, setProblem] = useState<string | null>(null);
  const id = current.view === "one" ? current.id : "";
  const found = all.find((one) => one.id === id);

  useEffect(() => {
    setProblem(null);
    if (id !== "") ensure(id).catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)));
  }, [id]);

  return (
    <main class="page one" id="main" tabIndex={-1}>
      <a class="back" href={hrefOf({ view: "gallery" })}>
        <Icon name="left" /> Gallery
      </a>
      {found === undefined ? (
        <>
          <h1 tabIndex={-1}>Video</h1>
          <p class={problem === null ? "hint" : "trouble"}>{problem ?? "Loading …"}</p>
        </>
      ) : (
        <>
          <h1 tabIndex={-1} class="result-title">
            {titleOf(found)}
          </h1>
          <div class="one-parts">
            <Result of={found} />
            <Details of={found} />
          </div>
        </>
      )}
    </main>
  );
}

function Details({ of }: { of: Generation }) {
  const { input } = of;
  const expanded = of.data?.actual_prompt;
  const media: [string, string | undefined][] = [
    ["First frame", input.image_url],
    ["Last frame", input.end_image_url],
    [input.feature === "edit-video" ? "Clip" : "Continued clip", input.video_url],
    ["Reference image", input.reference_image_url],
    ["Sound", input.audio_url],
    ...(input.reference_image_urls ?? []).map((url, index): [string, string] => [`Image ${index + 1}`, url]),
    ...(input.video_refs ?? []).map((url, index): [string, string] => [`Video ${index + 1}`, url]),
  ];
  return (
    <section class="card details" aria-label="Details">
      <h2>Details</h2>
      <dl>
        <Line name="State">{of.data_removed === true ? "Deleted" : STATE_NAMES[of.status]}</Line>
        <Line name="Workflow">{FEATURE_NAMES[input.feature]}</Line>
        {expanded != null && expanded !== input.prompt && <Line name="Expanded prompt">{expanded}</Line>}
        {input.negative_prompt !== undefined && <Line name="Leave out">{input.negative_prompt}</Line>}
        {media.map(([name, url]) => url !== undefined && <Line key={name} name={name}>{url.replace("upload://", "")}</Line>)}
        <Line name="Resolution">{input.resolution}</Line>
        <Line name="Aspect ratio">{input.aspect_ratio ?? "as the input"}</Line>
        <Line name="Duration">{input.duration === 0 ? "the whole clip" : seconds(input.duration)}</Line>
        <Line name="Seed">{String(input.seed)}</Line>
        {input.multi_shots === true && <Line name="Shots">several</Line>}
        <Line name="Credits">{`${number(of.usage.total)}${of.status === "IN_QUEUE" || of.status === "IN_PROGRESS" ? ", held" : ""}`}</Line>
        <Line name="Made">{when(of.created_at)}</Line>
        <Line name="Id">
          <code>{of.id}</code>
        </Line>
      </dl>
    </section>
  );
}

function Line({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
