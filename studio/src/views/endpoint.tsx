// One webhook endpoint by its address: what it is, and what can be done to it. Its log is deliveries.tsx.
import { useEffect, useState } from "preact/hooks";
import { call } from "../api";
import { useCell } from "../cell";
import { when } from "../format";
import { go, hrefOf, route } from "../route";
import { ownKey, say } from "../state";
import { useDoing } from "../ui/actions";
import { Confirm } from "../ui/dialog";
import { Trouble } from "../ui/form";
import { Icon, type IconName } from "../ui/icons";
import { SecretDialog } from "../ui/secret";
import type { Endpoint } from "../wire";
import { Deliveries } from "./deliveries";
import { EndpointForm, StateBadge, eventsOf } from "./endpoint-form";
import { SecretUse } from "./webhooks";

export function EndpointPage() {
  const current = useCell(route);
  const id = current.view === "endpoint" ? current.id : "";
  const writes = useCell(ownKey)?.scope === "full";
  const [endpoint, setEndpoint] = useState<Endpoint | null>(null);
  const [tested, setTested] = useState(0);
  const { problem, run } = useDoing();
  const take = async () => setEndpoint(await call<Endpoint>(`/webhooks/${id}`));
  useEffect(() => {
    setEndpoint(null);
    if (id !== "") run(take);
  }, [id]);

  return (
    <main class="page" id="main" tabIndex={-1}>
      <a class="back" href={hrefOf({ view: "webhooks" })}>
        <Icon name="left" /> Webhooks
      </a>
      <h1 tabIndex={-1} class="address-title">
        {endpoint?.url ?? "Webhook"}
      </h1>
      <Trouble text={problem} />
      {endpoint === null && problem === null && <p class="hint">Loading …</p>}
      {endpoint !== null && (
        <>
          {endpoint.disabled_reason !== null && (
            <p class="notice">
              The server has disabled it: {endpoint.disabled_reason} What it was still to be told is dropped. Enable it when it
              is back.
            </p>
          )}
          <div class="one-parts endpoint-parts">
            <Deliveries of={endpoint} writes={writes} tested={tested} onGone={() => run(take)} />
            <section class="card details" aria-label="Details">
              <h2>Details</h2>
              <dl>
                <div>
                  <dt>State</dt>
                  <dd>
                    <StateBadge of={endpoint} />
                  </dd>
                </div>
                {endpoint.description !== "" && (
                  <div>
                    <dt>Description</dt>
                    <dd>{endpoint.description}</dd>
                  </div>
                )}
                <div>
                  <dt>Told of</dt>
                  <dd>{eventsOf(endpoint)}</dd>
                </div>
                <div>
                  <dt>Made</dt>
                  <dd>{when(endpoint.created_at)}</dd>
                </div>
                <div>
                  <dt>Id</dt>
                  <dd>
                    <code>{endpoint.id}</code>
                  </dd>
                </div>
              </dl>
              {writes && <Doings of={endpoint} onChanged={setEndpoint} onTested={() => setTested((tested) => tested + 1)} />}
            </section>
          </div>
        </>
      )}
    </main>
  );
}

interface DoingsProps {
  of: Endpoint;
  onChanged: (endpoint: Endpoint) => void;
  onTested: () => void;
}

function Doings({ of, onChanged, onTested }: DoingsProps) {
  const [asking, setAsking] = useState<"change" | "rotate" | "delete" | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const { busy, problem, run } = useDoing();
  const path = `/webhooks/${of.id}`;
  const done = () => setAsking(null);

  const test = async () => {
    await call(`${path}/test`, { method: "POST" });
    say("A test event is on its way.");
    onTested();
  };
  const enable = async () => {
    onChanged(await call<Endpoint>(path, { method: "PATCH", body: { enabled: !of.enabled } }));
    say(of.enabled ? "The endpoint is disabled." : "The endpoint is enabled.");
  };
  const rotate = async () => {
    const { secret, ...endpoint } = await call<Endpoint>(`${path}/rotate-secret`, { method: "POST" });
    onChanged(endpoint);
    setSecret(secret ?? null);
  };
  const remove = async () => {
    await call(path, { method: "DELETE" });
    say("The endpoint is deleted.");
    go({ view: "webhooks" });
  };

  const button = (icon: IconName, label: string, what: () => void, barred = false) => (
    <button type="button" class="plain" disabled={busy || barred} onClick={what}>
      <Icon name={icon} /> {label}
    </button>
  );
  return (
    <>
      <div class="actions">
        {button("send", "Send a test", () => run(test), !of.enabled)}
        {button("edit", "Change", () => setAsking("change"))}
        {of.enabled ? button("stop", "Disable", () => run(enable)) : button("check", "Enable", () => run(enable))}
        {button("key", "Rotate secret", () => setAsking("rotate"))}
        {button("trash", "Delete", () => setAsking("delete"))}
      </div>
      {!of.enabled && <p class="hint">Disabled, it is told nothing. What was queued before that waits.</p>}
      <Trouble text={problem} />
      {asking === "change" && (
        <EndpointForm
          of={of}
          onClose={done}
          onKept={(endpoint) => {
            done();
            onChanged(endpoint);
            say("The endpoint is changed.");
          }}
        />
      )}
      {asking === "rotate" && (
        <Confirm title="Rotate the signing secret?" act="Rotate" danger={false} keep="Keep the old one" onAct={() => run(rotate)} onClose={done}>
          <p>
            A new secret signs from now on. For a day, or what the server's configuration says, the old one signs beside it: the
            time to change it at the receiver.
          </p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm title="Delete this endpoint?" act="Delete" onAct={() => run(remove)} onClose={done}>
          <p>It is told nothing more, and its log goes with it. To stop for a while, disable it instead.</p>
        </Confirm>
      )}
      {secret !== null && (
        <SecretDialog title="The new signing secret" label="Signing secret" secret={secret} onClose={() => setSecret(null)}>
          <SecretUse />
        </SecretDialog>
      )}
    </>
  );
}
