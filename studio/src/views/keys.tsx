// Who may ask: the keys of the workspace, made and revoked by whoever has one that may do everything.
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "../api";
import { useCell } from "../cell";
import { when } from "../format";
import { ownKey, say } from "../state";
import { useDoing } from "../ui/actions";
import { Confirm, Dialog } from "../ui/dialog";
import { Choices, Field, faultOf } from "../ui/field";
import { Trouble, focusFault, useSending } from "../ui/form";
import { Icon } from "../ui/icons";
import { SecretDialog } from "../ui/secret";
import type { Key, Scope } from "../wire";

const SCOPES: Record<Scope, { name: string; hint: string }> = {
  full: { name: "Full access", hint: "Makes and deletes videos, spends credits, changes keys and webhooks." },
  read: { name: "Read only", hint: "Sees videos, credits, keys and webhooks, and changes nothing." },
};

export function Keys() {
  const writes = useCell(ownKey)?.scope === "full";
  const [keys, setKeys] = useState<Key[] | null>(null);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Key | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const asked = useRef(0);
  const take = () => {
    // An answer that was overtaken by a later one would show what has changed since.
    const turn = ++asked.current;
    call<{ data: Key[] }>("/keys").then(
      ({ data }) => {
        if (turn !== asked.current) return;
        setKeys(data);
        setProblem(null);
      },
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    );
  };
  useEffect(take, []);

  const good = keys?.filter(({ revoked_at }) => revoked_at === null) ?? [];
  const revoked = keys?.filter(({ revoked_at }) => revoked_at !== null) ?? [];
  return (
    <main class="page" id="main" tabIndex={-1}>
      <div class="page-head">
        <h1 tabIndex={-1}>API keys</h1>
        {writes && (
          <button type="button" class="plain main" onClick={() => setMaking(true)}>
            <Icon name="add" /> New key
          </button>
        )}
      </div>
      <p class="lead">
        Every program asks the server with a key, and so does this page. One for each program: then one can be revoked
        without the others noticing. The secret is shown when the key is made, and kept nowhere.
      </p>
      <Trouble text={problem} />
      {keys === null && problem === null && <p class="hint">Loading …</p>}
      {good.length > 0 && (
        <ul class="card rows" aria-label="Keys">
          {good.map((key) => (
            <Row key={key.id} of={key} writes={writes} onRevoked={take} />
          ))}
        </ul>
      )}
      {revoked.length > 0 && (
        <details class="more old">
          <summary>Revoked keys ({revoked.length})</summary>
          <ul class="card rows" aria-label="Revoked keys">
            {revoked.map((key) => (
              <Row key={key.id} of={key} writes={false} onRevoked={() => undefined} />
            ))}
          </ul>
        </details>
      )}
      {making && (
        <NewKey
          onClose={() => setMaking(false)}
          onMade={(key) => {
            setMaking(false);
            setMade(key);
            say(`The key ${key.name} is made.`);
            take();
          }}
        />
      )}
      {made?.key !== undefined && (
        <SecretDialog title={`The key “${made.name}”`} label="API key" secret={made.key} onClose={() => setMade(null)}>
          <p>
            Programs send it as <code>Authorization: Bearer …</code>; ours read it from <code>KINORA_API_KEY</code>. Where it
            is lost, revoke it and make another.
          </p>
        </SecretDialog>
      )}
    </main>
  );
}

function Row({ of, writes, onRevoked }: { of: Key; writes: boolean; onRevoked: () => void }) {
  const { busy, problem, run } = useDoing();
  const [asking, setAsking] = useState(false);
  const revoke = async () => {
    await call(`/keys/${of.id}`, { method: "DELETE" });
    say(`The key ${of.name} is revoked.`);
    // Its button is about to go.
    document.querySelector<HTMLElement>("h1")?.focus();
    onRevoked();
  };
  return (
    <li>
      <div class="row-text">
        <p class="row-title">
          <span class="row-name">{of.name}</span>
          <span class="badge quietly">{SCOPES[of.scope].name}</span>
          {of.current && <span class="badge">This browser</span>}
        </p>
        <p class="facts-line">
          <span>Made {when(of.created_at)}</span>
          {of.revoked_at !== null && <span>Revoked {when(of.revoked_at)}</span>}
          <code>{of.id}</code>
        </p>
        {of.current && <p class="hint">It is in use here, and cannot revoke itself: another key with full access can.</p>}
        {problem !== null && (
          <p class="fault" role="alert">
            {problem}
          </p>
        )}
      </div>
      {writes && !of.current && (
        <button type="button" class="plain" aria-label={`Revoke: ${of.name}`} disabled={busy} onClick={() => setAsking(true)}>
          <Icon name="trash" /> Revoke
        </button>
      )}
      {asking && (
        <Confirm title={`Revoke “${of.name}”?`} act="Revoke" onAct={() => run(revoke)} onClose={() => setAsking(false)}>
          <p>Whoever still uses this key is turned away at once. That cannot be taken back.</p>
        </Confirm>
      )}
    </li>
  );
}

function NewKey({ onClose, onMade }: { onClose: () => void; onMade: (key: Key) => void }) {
  const [name, setName] = useState("");
  const [scope, setScope] = useState<Scope>("full");
  const { busy, faults, trouble, send, touch } = useSending();
  const form = useRef<HTMLFormElement>(null);
  const make = async () => {
    const missing = name.trim() === "" ? [{ field: "name", message: "Say what the key is for." }] : [];
    const taken = await send(missing, async () => onMade(await call<Key>("/keys", { body: { name: name.trim(), scope } })));
    if (!taken) focusFault(form.current);
  };
  return (
    <Dialog title="New API key" onClose={onClose}>
      <form
        ref={form}
        class="fields"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <Field id="key-name" label="Name" hint="What uses it: a program, a person, a machine." fault={faultOf(faults, "name")}>
          {(described) => (
            <input
              {...described}
              autofocus
              type="text"
              autoComplete="off"
              value={name}
              onInput={(event) => {
                setName(event.currentTarget.value);
                touch("name");
              }}
            />
          )}
        </Field>
        <div>
          <Choices
            name="scope"
            label="Access"
            value={scope}
            choices={(Object.keys(SCOPES) as Scope[]).map((value) => ({ value, label: SCOPES[value].name }))}
            onChange={setScope}
            fault={faultOf(faults, "scope")}
          />
          <p class="hint below">{SCOPES[scope].hint}</p>
        </div>
        <Trouble text={trouble} />
        <div class="buttons">
          <button type="button" class="plain" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="main" disabled={busy}>
            {busy ? "Making …" : "Make the key"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
