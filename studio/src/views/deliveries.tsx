// What an endpoint was told: every delivery with its tries, as they come in, and the button that sends one again.
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "../api";
import { useCell } from "../cell";
import { moment, number, titleOf, when } from "../format";
import { hrefOf } from "../route";
import { list, say } from "../state";
import { useDoing } from "../ui/actions";
import { Icon } from "../ui/icons";
import type { Delivery, Endpoint, Page, Try } from "../wire";
import { eventName } from "./endpoint-form";

const PAGE = 25;
/** How often the log is read: while something is due, and otherwise. */
const SOON_MS = 1_000;
const LATER_MS = 5_000;

interface Props {
  of: Endpoint;
  writes: boolean;
  /** Counts what was queued from outside of the log. */
  tested: number;
  /** The endpoint may have been disabled by what it answered. */
  onGone: () => void;
}

export function Deliveries({ of: endpoint, writes, tested, onGone }: Props) {
  const [deliveries, setDeliveries] = useState<Delivery[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const { busy, problem, run } = useDoing();
  const [lost, setLost] = useState<string | null>(null);
  const [queued, setQueued] = useState(0);
  const reached = useRef(false);

  const page = (cursor: string | null) =>
    call<Page<Delivery>>(`/webhooks/${endpoint.id}/deliveries?limit=${PAGE}${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
  const older = async () => {
    const { data, next_cursor } = await page(next);
    reached.current = true;
    setDeliveries((known) => [...(known ?? []), ...data.filter(({ id }) => !known?.some((one) => one.id === id))]);
    setNext(next_cursor);
  };

  // Tests and replays are only queued when the server answers: what becomes of them is read from the log.
  useEffect(() => {
    let stopped = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      let soon = false;
      try {
        const { data, next_cursor } = await page(null);
        if (stopped) return;
        soon = data.some(isDue) && endpoint.enabled;
        setLost(null);
        if (endpoint.enabled && data.some(({ tries }) => tries.at(-1)?.status === 410)) onGone();
        setDeliveries((known) => [...data, ...(known ?? []).filter(({ id }) => !data.some((one) => one.id === id))]);
        if (!reached.current) setNext(next_cursor);
      } catch (error) {
        if (stopped) return;
        setLost(error instanceof Error ? error.message : String(error));
      }
      timer = setTimeout(() => void look(), soon ? SOON_MS : LATER_MS);
    };
    void look();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [endpoint.id, endpoint.enabled, tested, queued]);

  return (
    <section class="card log" aria-labelledby="log-name">
      <h2 id="log-name">Deliveries</h2>
      {deliveries === null && lost === null && <p class="hint">Loading …</p>}
      {deliveries?.length === 0 && <p class="hint">It has not been told anything yet.</p>}
      {deliveries !== null && deliveries.length > 0 && (
        <ul class="rows" aria-label="Deliveries">
          {deliveries.map((delivery) => (
            <Row
              key={delivery.id}
              of={delivery}
              endpoint={endpoint}
              writes={writes}
              onQueued={() => setQueued((queued) => queued + 1)}
            />
          ))}
        </ul>
      )}
      {next !== null && (
        <div class="load-more">
          <button type="button" class="plain" disabled={busy} onClick={() => run(older)}>
            {busy ? "Loading …" : "Load older ones"}
          </button>
        </div>
      )}
      {(problem ?? lost) !== null && (
        <p class="fault" role="alert">
          {problem ?? lost}
        </p>
      )}
    </section>
  );
}

/** Whether something is to happen to it in a moment. */
function isDue({ status, next_try_at }: Delivery): boolean {
  return status === "pending" && (next_try_at === null || Date.parse(next_try_at) < Date.now() + 10_000);
}

const STATES: Record<Delivery["status"], { name: string; look: string }> = {
  pending: { name: "Under way", look: "waiting" },
  delivered: { name: "Delivered", look: "" },
  given_up: { name: "Given up", look: "bad" },
  dropped: { name: "Dropped", look: "quietly" },
};

/** What the last try was answered. */
const answerOf = ({ status, error }: Try): string => (status === null ? (error ?? "No answer") : `Answered ${status}`);

function Row({ of, endpoint, writes, onQueued }: { of: Delivery; endpoint: Endpoint; writes: boolean; onQueued: () => void }) {
  const { busy, problem, run } = useDoing();
  const { name, look } = STATES[of.status];
  const last = of.tries.at(-1);
  const generation = useCell(list).find(({ id }) => id === of.generation_id);
  const what = `${eventName(of.type)}, ${when(of.created_at)}`;
  const again = async () => {
    await call(`/webhooks/${endpoint.id}/deliveries/${of.id}/retry`, { method: "POST" });
    say("It is on its way again.");
    onQueued();
  };
  return (
    <li class="delivery">
      <div class="row-text">
        <p class="row-title">
          <span class="row-name">{eventName(of.type)}</span>
          <span class={`badge ${look}`}>{name}</span>
        </p>
        <p class="facts-line">
          <time dateTime={of.created_at}>{when(of.created_at)}</time>
          {last !== undefined && <span>{answerOf(last)}</span>}
        </p>
        {of.status === "pending" && <p class="hint">{outlook(of, endpoint)}</p>}
        {of.generation_id !== null && (
          <p class="hint of-generation">
            <a href={hrefOf({ view: "one", id: of.generation_id })}>{generation === undefined ? of.generation_id : titleOf(generation)}</a>
          </p>
        )}
        {problem !== null && (
          <p class="fault" role="alert">
            {problem}
          </p>
        )}
      </div>
      {writes && (
        <button
          type="button"
          class="round"
          aria-label={`Send again: ${what}`}
          title={endpoint.enabled ? "Send again" : "The endpoint is disabled"}
          disabled={busy || !endpoint.enabled}
          onClick={() => run(again)}
        >
          <Icon name="retry" />
        </button>
      )}
      {of.tries.length > 0 && <Tries of={of.tries} what={what} />}
    </li>
  );
}

/** When it is tried next. */
function outlook({ tries, next_try_at }: Delivery, { enabled }: Endpoint): string {
  if (!enabled) return "Waits until the endpoint is enabled.";
  if (next_try_at === null) return "Waits for an earlier event of the same video.";
  if (tries.length === 0 || Date.parse(next_try_at) <= Date.now()) return "Is being sent.";
  return `Next try ${moment(next_try_at)}.`;
}

function Tries({ of, what }: { of: Try[]; what: string }) {
  return (
    <details class="tries">
      <summary>
        {of.length === 1 ? "1 try" : `${of.length} tries`}
        <span class="unseen">: {what}</span>
      </summary>
      <ol>
        {of.map((one) => (
          <li key={one.at}>
            <time dateTime={one.at}>{moment(one.at)}</time>
            <span>
              {one.error ?? `It answered ${one.status}.`} <span class="latency">{number(one.latency_ms)} ms</span>
              {one.answer !== "" && <code class="answer">{one.answer}</code>}
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}
