// Where the workspace is told what becomes of its generations: the list, and what signs for single requests.
import { useEffect, useState } from "preact/hooks";
import { call } from "../api";
import { useCell } from "../cell";
import { when } from "../format";
import { go, hrefOf } from "../route";
import { ownKey, say } from "../state";
import { useDoing } from "../ui/actions";
import { Icon } from "../ui/icons";
import { Secret, SecretDialog } from "../ui/secret";
import { Trouble } from "../ui/form";
import type { Endpoint } from "../wire";
import { EndpointForm, StateBadge, eventsOf } from "./endpoint-form";

export function Webhooks() {
  const writes = useCell(ownKey)?.scope === "full";
  const [endpoints, setEndpoints] = useState<Endpoint[] | null>(null);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Endpoint | null>(null);
  const { problem, run } = useDoing();
  useEffect(() => run(async () => setEndpoints((await call<{ data: Endpoint[] }>("/webhooks")).data)), []);

  return (
    <main class="page" id="main" tabIndex={-1}>
      <div class="page-head">
        <h1 tabIndex={-1}>Webhooks</h1>
        {writes && (
          <button type="button" class="plain main" onClick={() => setMaking(true)}>
            <Icon name="add" /> New endpoint
          </button>
        )}
      </div>
      <p class="lead">
        Instead of being asked, the server tells: each endpoint gets a signed POST when a video is accepted, begun, ready,
        failed or canceled, and again for three days where it does not answer.
      </p>
      <Trouble text={problem} />
      {endpoints === null && problem === null && <p class="hint">Loading …</p>}
      {endpoints !== null && endpoints.length === 0 && (
        <div class="nothing">
          <p>Nobody is told yet.</p>
        </div>
      )}
      {endpoints !== null && endpoints.length > 0 && (
        <ul class="card rows" aria-label="Endpoints">
          {endpoints.map((endpoint) => (
            <li key={endpoint.id}>
              <div class="row-text">
                <p class="row-title">
                  <a class="row-name" href={hrefOf({ view: "endpoint", id: endpoint.id })}>
                    {endpoint.url}
                  </a>
                  <StateBadge of={endpoint} />
                </p>
                {endpoint.description !== "" && <p class="row-about">{endpoint.description}</p>}
                <p class="facts-line">
                  <span>{eventsOf(endpoint)}</span>
                  <span>Made {when(endpoint.created_at)}</span>
                </p>
              </div>
              <Icon name="right" />
            </li>
          ))}
        </ul>
      )}
      {writes && <OfRequests />}
      {making && (
        <EndpointForm
          onClose={() => setMaking(false)}
          onKept={(endpoint) => {
            setMaking(false);
            setMade(endpoint);
            say("The endpoint is made.");
          }}
        />
      )}
      {made?.secret !== undefined && (
        <SecretDialog
          title="The endpoint is made"
          label="Signing secret"
          secret={made.secret}
          onClose={() => {
            setMade(null);
            go({ view: "endpoint", id: made.id });
          }}
        >
          <SecretUse />
        </SecretDialog>
      )}
    </main>
  );
}

/** What a signing secret is good for. */
export function SecretUse() {
  return (
    <p>
      With it the receiver checks that a delivery comes from here: <code>verify_webhook</code> of the clients does, and so does
      every library of Standard Webhooks.
    </p>
  );
}

/** The secret of the workspace signs what is told to the `webhook_url` of a request. */
function OfRequests() {
  const [secret, setSecret] = useState<string | null>(null);
  const { busy, problem, run } = useDoing();
  const show = async () => setSecret((await call<{ secret: string }>("/webhooks/signing-secret")).secret);
  return (
    <section class="card of-requests" aria-labelledby="of-requests-name">
      <h2 id="of-requests-name">Single requests</h2>
      <p class="hint">
        A request may name a URL of its own in <code>webhook_url</code>. What is told there is signed by one secret for the
        whole workspace.
      </p>
      {secret === null ? (
        <button type="button" class="plain" disabled={busy} onClick={() => run(show)}>
          <Icon name="key" /> Show the signing secret
        </button>
      ) : (
        <Secret id="signing-secret" label="Signing secret of the workspace" text={secret} />
      )}
      <Trouble text={problem} />
    </section>
  );
}
