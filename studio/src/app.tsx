// The frame around the views: who is here, where one can go, and what has just happened.
import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useCell } from "./cell";
import { number } from "./format";
import { hrefOf, route, type Route } from "./route";
import { ended, key, signInWithLink } from "./session";
import { credits, load, ownKey, reset, said } from "./state";
import { Brand, ThemeButton } from "./ui/bar";
import { Icon, type IconName } from "./ui/icons";
import { Account } from "./views/account";
import { Create } from "./views/create";
import { EndpointPage } from "./views/endpoint";
import { Gallery } from "./views/gallery";
import { Keys } from "./views/keys";
import { One } from "./views/one";
import { SignIn } from "./views/signin";
import { Webhooks } from "./views/webhooks";

const VIEWS: Record<Route["view"], { title: string; shown: ComponentType }> = {
  create: { title: "Create", shown: Create },
  gallery: { title: "Gallery", shown: Gallery },
  account: { title: "Credits", shown: Account },
  one: { title: "Video", shown: One },
  keys: { title: "API keys", shown: Keys },
  webhooks: { title: "Webhooks", shown: Webhooks },
  endpoint: { title: "Webhook", shown: EndpointPage },
};

/** Where the bar leads. */
const PLACES: { to: Route; icon: IconName; label: string }[] = [
  { to: { view: "create" }, icon: "spark", label: "Create" },
  { to: { view: "gallery" }, icon: "grid", label: "Gallery" },
  { to: { view: "account" }, icon: "wallet", label: "Credits" },
  { to: { view: "keys" }, icon: "key", label: "Keys" },
  { to: { view: "webhooks" }, icon: "send", label: "Webhooks" },
];

export function App() {
  const secret = useCell(key);
  const why = useCell(ended);
  const [asked, setAsked] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);

  useEffect(() => {
    const redeem = () => signInWithLink().then(setRefused);
    void redeem().finally(() => setAsked(true));
    // A link that is opened where the page is shown already only changes what is behind the #.
    addEventListener("hashchange", redeem);
    // A file that misses its slot must not replace the page.
    const stay = (event: DragEvent) => event.preventDefault();
    addEventListener("dragover", stay);
    addEventListener("drop", stay);
    return () => {
      removeEventListener("hashchange", redeem);
      removeEventListener("dragover", stay);
      removeEventListener("drop", stay);
    };
  }, []);

  if (!asked) return null;
  return secret === "" ? <SignIn problem={refused ?? why} /> : <Home key={secret} />;
}

function Home() {
  const current = useCell(route);
  const balance = useCell(credits);
  const [problem, setProblem] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);
  const moved = useRef(false);
  const { title, shown: View } = VIEWS[current.view];

  useEffect(() => {
    setProblem(null);
    load().catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)));
  }, [attempt]);
  useEffect(() => reset, []);
  useEffect(() => {
    document.title = `${title} · Kinora Studio`;
    // Whoever listens hears where they are; at the very beginning the browser itself says so.
    if (moved.current) document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
    if (moved.current) scrollTo(0, 0);
    moved.current = true;
  }, [current]);

  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <header class="bar">
        <Brand />
        <nav aria-label="Views" class="places">
          {PLACES.map(({ to, icon, label }) => (
            <a key={to.view} href={hrefOf(to)} aria-current={to.view === current.view ? "page" : undefined}>
              <Icon name={icon} />
              {label}
            </a>
          ))}
        </nav>
        <div class="bar-end">
          <a class="balance" href={hrefOf({ view: "account" })} title="Credits that can be spent">
            {balance === null ? "…" : number(balance.total)} <span>credits</span>
          </a>
          <a class="quiet-link" href="/docs">
            API
          </a>
          <ThemeButton />
        </div>
      </header>
      {problem !== null && (
        <div class="trouble across" role="alert">
          <Icon name="warn" />
          <span>{problem}</span>
          <button type="button" class="plain" onClick={() => setAttempt(attempt + 1)}>
            Try again
          </button>
        </div>
      )}
      <ReadOnlyNote />
      <View />
      <Announcer />
    </>
  );
}

/** What this key cannot do, before it is tried. */
function ReadOnlyNote() {
  if (useCell(ownKey)?.scope !== "read") return null;
  return (
    <p class="notice across">
      This browser is signed in with a key that may only look. Making, canceling and deleting videos takes a key with full
      access, and so does changing keys and webhooks.
    </p>
  );
}

/** Tells those who do not see the page what happens on it. */
function Announcer() {
  return (
    <p class="unseen" role="status" aria-live="polite">
      {useCell(said)}
    </p>
  );
}
