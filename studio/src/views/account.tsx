// What can be spent, what was spent on what, and the key of this visit.
import { useEffect, useState } from "preact/hooks";
import { call } from "../api";
import { useCell } from "../cell";
import { number, titleOf, when } from "../format";
import { forgetAll } from "../kept";
import { hrefOf } from "../route";
import { key, signOut } from "../session";
import { credits, list, refreshCredits } from "../state";
import { useDoing } from "../ui/actions";
import type { Entry, Page } from "../wire";

export function Account() {
  return (
    <main class="page" id="main" tabIndex={-1}>
      <div class="page-head">
        <h1 tabIndex={-1}>Credits</h1>
      </div>
      <Balance />
      <Ledger />
      <ThisKey />
    </main>
  );
}

function Balance() {
  const balance = useCell(credits);
  useEffect(() => void refreshCredits().catch(() => undefined), []);
  const tiles = [
    { name: "To spend", value: balance?.total, hint: "both pools together" },
    { name: "Subscription", value: balance?.subscription, hint: "spent first, ends with its month" },
    { name: "Permanent", value: balance?.permanent, hint: "spent when the other is used up" },
    { name: "Held", value: balance?.held.total, hint: "for videos that are being made" },
  ];
  return (
    <dl class="tiles" aria-label="Balance">
      {tiles.map(({ name, value, hint }) => (
        <div key={name} class="tile">
          <dt>{name}</dt>
          <dd>
            <b>{value === undefined ? "…" : number(value)}</b>
            <span class="hint">{hint}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

const TYPES: Record<string, string> = {
  grant: "Granted",
  purchase: "Bought",
  hold: "Held",
  capture: "Charged",
  release: "Given back",
  expire: "Expired",
  adjust: "Adjusted",
};

const signed = (value: number): string => (value > 0 ? `+${number(value)}` : value < 0 ? `−${number(-value)}` : "0");

function Ledger() {
  const [entries, setEntries] = useState<Entry[]>([]);
  const [next, setNext] = useState<{ cursor: string | null } | null>({ cursor: null });
  const { busy, problem, run } = useDoing();
  const made = useCell(list);
  // Every change of the balance is an entry: the newest are fetched again.
  const balance = useCell(credits);

  const take = async (cursor: string | null) => {
    const from = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await call<Page<Entry>>(`/credits/entries?limit=50${from}`);
    setEntries((before) => (cursor === null ? page.data : [...before, ...page.data]));
    setNext(page.has_more ? { cursor: page.next_cursor } : null);
  };
  useEffect(() => run(() => take(null)), [balance]);

  return (
    <section class="card ledger" aria-labelledby="ledger-name">
      <h2 id="ledger-name">Ledger</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">What</th>
            <th scope="col">Video</th>
            <th scope="col" class="amount part">
              Subscription
            </th>
            <th scope="col" class="amount part">
              Permanent
            </th>
            <th scope="col" class="amount">
              Credits
            </th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ id, created_at, type, generation_id, amount }) => {
            const generation = made.find((one) => one.id === generation_id);
            return (
              <tr key={id}>
                <td class="hint">
                  <time dateTime={created_at}>{when(created_at)}</time>
                </td>
                <td>
                  <span class={`entry ${type}`}>{TYPES[type] ?? type}</span>
                </td>
                <td class="of">
                  {generation_id !== undefined && (
                    <a href={hrefOf({ view: "one", id: generation_id })}>
                      {generation === undefined ? generation_id : titleOf(generation)}
                    </a>
                  )}
                </td>
                <td class="amount part">{signed(amount.subscription)}</td>
                <td class="amount part">{signed(amount.permanent)}</td>
                <td class="amount">{signed(amount.total)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {next !== null && next.cursor !== null && (
        <div class="load-more">
          <button type="button" class="plain" disabled={busy} onClick={() => run(() => take(next.cursor))}>
            {busy ? "Loading …" : "Load older ones"}
          </button>
        </div>
      )}
      {problem !== null && (
        <p class="fault" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}

function ThisKey() {
  const secret = useCell(key);
  return (
    <section class="card this-key" aria-labelledby="key-name">
      <div>
        <h2 id="key-name">This browser</h2>
        <p class="hint">
          Signed in with the key <code>{`${secret.slice(0, 10)}…${secret.slice(-4)}`}</code>. Signing out forgets it here, and the
          files that were kept for trying again.
        </p>
      </div>
      <button type="button" class="plain" onClick={() => void forgetAll().then(() => signOut())}>
        Sign out
      </button>
    </section>
  );
}
