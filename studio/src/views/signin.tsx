// For visits without a key: the form that takes one.
import { useState } from "preact/hooks";
import { check, signIn } from "../session";
import { Brand, ThemeButton } from "../ui/bar";
import { Field } from "../ui/field";

export function SignIn({ problem }: { problem: string | null }) {
  const [secret, setSecret] = useState("");
  const [remember, setRemember] = useState(true);
  const [fault, setFault] = useState<string | undefined>();
  const [busy, setBusy] = useState(false);

  const send = async () => {
    const given = secret.trim();
    if (given === "") return setFault("Enter an API key.");
    setBusy(true);
    const wrong = await check(given);
    setBusy(false);
    if (wrong === null) signIn(given, remember);
    else {
      setFault(wrong);
      document.getElementById("key")?.focus();
    }
  };

  return (
    <div class="entrance">
      <header class="bar">
        <Brand />
        <div class="bar-end">
          <a class="quiet-link" href="/docs">
            API
          </a>
          <ThemeButton />
        </div>
      </header>
      <main id="main">
        <form
          class="card"
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void send();
          }}
        >
          <h1>Sign in</h1>
          <p class="hint">The Studio speaks to this server with an API key, like every other client.</p>
          {problem !== null && (
            <p class="trouble" role="alert">
              {problem}
            </p>
          )}
          <Field
            id="key"
            label="API key"
            fault={fault}
            hint={
              <>
                The first start of the server prints one. <code>kinora key create</code> makes another.
              </>
            }
          >
            {(described) => (
              <input
                {...described}
                type="password"
                autoComplete="current-password"
                spellcheck={false}
                placeholder="kinora_…"
                value={secret}
                onInput={(event) => {
                  setSecret(event.currentTarget.value);
                  setFault(undefined);
                }}
              />
            )}
          </Field>
          <label class="remember">
            <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.currentTarget.checked)} />
            Stay signed in on this browser
          </label>
          <button type="submit" class="main" disabled={busy}>
            {busy ? "Looking …" : "Sign in"}
          </button>
        </form>
      </main>
    </div>
  );
}
