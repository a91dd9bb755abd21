// What can be done with a generation that exists, wherever it is shown.
import { useState } from "preact/hooks";
import { cancel, remove, retry, reuse } from "../state";
import { ENDED, type Generation } from "../wire";
import { Confirm } from "./dialog";
import { Icon } from "./icons";

/** Runs something that may fail, once at a time, and says what went wrong. */
export function useDoing(): { busy: boolean; problem: string | null; run: (what: () => Promise<unknown>) => void } {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const run = (what: () => Promise<unknown>) => {
    if (busy) return;
    setBusy(true);
    setProblem(null);
    what()
      .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  return { busy, problem, run };
}

/** Cancel while it lives; try again, take over, delete once it has ended. `brief` leaves the words to tool tips. */
export function Actions({ of, title, brief = false }: { of: Generation; title: string; brief?: boolean }) {
  const { busy, problem, run } = useDoing();
  const [asking, setAsking] = useState(false);
  const button = (icon: Parameters<typeof Icon>[0]["name"], label: string, what: () => void) => (
    <button
      type="button"
      class={brief ? "round" : "plain"}
      disabled={busy}
      // On a page with many of them, each says which one it means.
      aria-label={brief ? `${label}: ${title}` : undefined}
      title={brief ? label : undefined}
      onClick={what}
    >
      <Icon name={icon} />
      {!brief && label}
    </button>
  );
  return (
    <>
      <div class="actions">
        {!ENDED.has(of.status) && button("stop", of.stage === "canceling" ? "Canceling …" : "Cancel", () => run(() => cancel(of.id)))}
        {ENDED.has(of.status) && (
          <>
            {button("retry", "Retry with a new seed", () => run(() => retry(of)))}
            {button("edit", "Use these settings", () => run(() => reuse(of)))}
            {of.data_removed !== true && button("trash", "Delete", () => setAsking(true))}
          </>
        )}
      </div>
      {problem !== null && (
        <p class="fault" role="alert">
          {problem}
        </p>
      )}
      {asking && (
        <Confirm
          title="Delete this video?"
          act="Delete"
          onAct={() => run(() => remove(of.id))}
          onClose={() => setAsking(false)}
        >
          <p>The video and its inputs are removed from the server for good. Its line in the ledger stays.</p>
        </Confirm>
      )}
    </>
  );
}
