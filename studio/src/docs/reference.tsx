// The page: first steps, a request for each workflow, then every operation of the server's own description.
import { Fragment, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Brand, ThemeButton } from "../ui/bar";
import { Code, Samples } from "../ui/code";
import { operationsOf, type Document } from "./document";
import { SAMPLE_FILES, WORKFLOWS, requestOf } from "./examples";
import { OperationPart } from "./operation";
import { Text } from "./text";
import { ERRORS, STATES } from "./words";

export function Reference() {
  const [document, setDocument] = useState<Document | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  useEffect(() => {
    fetch("/openapi.json")
      .then((answer) => answer.json())
      .then((document: Document) => setDocument(document))
      .catch(() => setProblem("The description of the API could not be read from the server."));
  }, []);
  useEffect(() => {
    // What the address points to was not there yet when the browser looked.
    if (document !== null && location.hash.length > 1) window.document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, [document]);

  return (
    <>
      <header class="bar">
        <Brand page="API" />
        <div class="bar-end">
          <a class="quiet-link" href="/studio">
            Studio
          </a>
          <a class="quiet-link" href="/openapi.json">
            OpenAPI
          </a>
          <ThemeButton />
        </div>
      </header>
      <div class="reference">
        <Contents document={document} />
        <main id="main" tabIndex={-1}>
          <Start document={document} />
          <Workflows />
          <Following />
          {problem !== null && (
            <p class="trouble" role="alert">
              {problem}
            </p>
          )}
          {document?.tags.map(({ name, description }) => (
            <section key={name} id={`group-${name}`} class="operations">
              <h2>{name}</h2>
              {description !== undefined && <p class="hint">{description}</p>}
              {operationsOf(document, name).map((operation) => (
                <OperationPart key={operation.operationId} document={document} operation={operation} />
              ))}
            </section>
          ))}
          <Errors />
        </main>
      </div>
    </>
  );
}

function Contents({ document }: { document: Document | null }) {
  const [wide] = useState(() => matchMedia("(min-width: 901px)").matches);
  return (
    <details class="contents" open={wide}>
      <summary>Contents</summary>
      <nav aria-label="Contents">
        <p>Begin</p>
        <a href="#start">First steps</a>
        {WORKFLOWS.map(({ id, title }) => (
          <a key={id} href={`#${id}`}>
            {title}
          </a>
        ))}
        <a href="#following">Follow to the end</a>
        {document?.tags.map(({ name }) => (
          <Fragment key={name}>
            <p>{name}</p>
            {operationsOf(document, name).map(({ operationId, method, summary }) => (
              <a key={operationId} href={`#${operationId}`}>
                <span class={`method ${method}`}>{method.toUpperCase()}</span>
                {summary ?? operationId}
              </a>
            ))}
          </Fragment>
        ))}
        <p>Errors</p>
        <a href="#errors">Error codes</a>
      </nav>
    </details>
  );
}

function Start({ document }: { document: Document | null }) {
  return (
    <section id="start">
      <h1 tabIndex={-1}>Kinora API</h1>
      {document !== null && (
        <p class="version">
          Version {document.info.version} · base <code>{location.origin + (document.servers[0]?.url ?? "")}</code>
        </p>
      )}
      {document?.info.description !== undefined && (
        <p>
          <Text of={document.info.description} />
        </p>
      )}
      <p>
        Every call carries an API key as <code>Authorization: Bearer …</code>. The first start of the server prints one;{" "}
        <code>kinora key create</code> makes another. The examples read it from the environment, and use three small files that
        these lines make:
      </p>
      <Code text={SAMPLE_FILES} label="Files for the examples" />
    </section>
  );
}

function Workflows() {
  return (
    <section class="workflows">
      {WORKFLOWS.map((workflow) => (
        <section key={workflow.id} id={workflow.id}>
          <h2>{workflow.title}</h2>
          <p>
            <Text of={workflow.text} />
          </p>
          <Samples id={`sample-${workflow.id}`} request={requestOf(workflow, location.origin)} />
        </section>
      ))}
    </section>
  );
}

function Following() {
  const { origin } = location;
  return (
    <section id="following">
      <h2>Follow to the end</h2>
      <p>
        The answer to a POST has the <code>id</code>. Ask for it until it has ended, or read its events as they happen; after a break{" "}
        <code>Last-Event-ID</code> goes on behind the last one seen. <code>Prefer: wait=N</code> on the POST holds the answer instead,
        and the paths under <code>/generation/sse/</code> answer with the events at once.
      </p>
      <Code
        label="Reading and following a generation"
        text={`curl ${origin}/api/v1/generation/$ID \\
  -H "Authorization: Bearer $KINORA_API_KEY"

curl -N ${origin}/api/v1/generation/$ID/events \\
  -H "Authorization: Bearer $KINORA_API_KEY"`}
      />
      <Scroller label="States">
        <table>
          <thead>
            <tr>
              <th scope="col">State</th>
              <th scope="col">In answers to a POST</th>
              <th scope="col">Meaning</th>
            </tr>
          </thead>
          <tbody>
            {STATES.map(([state, older, meaning]) => (
              <tr key={state}>
                <td>
                  <code>{state}</code>
                </td>
                <td>
                  <code>{older}</code>
                </td>
                <td>
                  <Text of={meaning} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
      <p>
        Addresses in <code>data</code> are signed and expire; reading the generation again signs them anew.
      </p>
    </section>
  );
}

function Errors() {
  return (
    <section id="errors">
      <h2>Error codes</h2>
      <p>
        Every error is JSON with <code>code</code>, to branch on, and <code>message</code>, for people. Where members are at fault,{" "}
        <code>errors</code> names each of them with its own message. 429, 500, 502, 503 and 504 may pass: try again, after{" "}
        <code>Retry-After</code> where it is given. A generation that failed carries <code>code</code> and <code>message</code> from the
        same list.
      </p>
      <Scroller label="Error codes">
        <table>
          <thead>
            <tr>
              <th scope="col">Status</th>
              <th scope="col">Code</th>
              <th scope="col">When</th>
            </tr>
          </thead>
          <tbody>
            {ERRORS.map(([status, code, meaning]) => (
              <tr key={`${status} ${code}`}>
                <td>{status}</td>
                <td>
                  <code>{code}</code>
                </td>
                <td>
                  <Text of={meaning} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
    </section>
  );
}

/** Wide tables move inside the page, not with it. */
function Scroller({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="scroller" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
