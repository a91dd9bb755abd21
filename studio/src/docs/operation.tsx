// One operation: what it takes, and everything it can answer.
import { Code } from "../ui/code";
import { Tabs } from "../ui/tabs";
import { objectIn, resolve, typeOf, type Answer, type Document, type Placed } from "./document";
import { Member, Members } from "./members";
import { Text } from "./text";

const PLACES = { path: "In the path", query: "In the query", header: "Headers" } as const;
const KINDS: Record<string, string> = { "application/json": "JSON", "multipart/form-data": "Form with files" };

export function OperationPart({ document, operation }: { document: Document; operation: Placed }) {
  const { operationId, method, path, summary, description, parameters = [], requestBody, responses } = operation;
  const content = requestBody?.content ?? {};
  const kinds = Object.keys(content);
  const isOpen = operation.security !== undefined && operation.security.every((one) => Object.keys(one).length === 0);
  const answers = Object.entries(responses);
  return (
    <section class="operation" id={operationId} aria-labelledby={`${operationId}-name`}>
      <h3 id={`${operationId}-name`}>{summary ?? operationId}</h3>
      <p class="path">
        <span class={`method ${method}`}>{method.toUpperCase()}</span>
        <code>{path}</code>
        {isOpen && <span class="bound">without a key</span>}
      </p>
      {description !== undefined && (
        <p>
          <Text of={description} />
        </p>
      )}
      {(Object.keys(PLACES) as (keyof typeof PLACES)[]).map((place) => {
        const here = parameters.filter((parameter) => parameter.in === place);
        if (here.length === 0) return null;
        return (
          <div key={place} class="group">
            <h4>{PLACES[place]}</h4>
            <ul class="members">
              {here.map(({ name, schema, required, description = schema.description }) => (
                <Member key={name} document={document} name={name} schema={schema} required={required === true} description={description} />
              ))}
            </ul>
          </div>
        );
      })}
      {kinds.length > 0 && (
        <div class="group">
          <h4>Body</h4>
          <Tabs id={`${operationId}-body`} label="How it is sent" names={kinds.map((kind) => KINDS[kind] ?? kind)}>
            {(name) => {
              const { schema = {}, example } = content[kinds.find((kind) => (KINDS[kind] ?? kind) === name)!]!;
              return (
                <>
                  {example !== undefined && <Code text={JSON.stringify(example, null, 2)} label="Example of a body" />}
                  <Members document={document} schema={resolve(document, schema)} />
                </>
              );
            }}
          </Tabs>
        </div>
      )}
      <div class="group">
        <h4>Answers</h4>
        <ul class="answers">
          {answers.map(([status, answer]) => (
            <li key={status}>
              <AnswerPart document={document} status={status} answer={answer} />
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}

function AnswerPart({ document, status, answer }: { document: Document; status: string; answer: Answer }) {
  const good = status < "400";
  const [[kind, { schema }] = ["", { schema: undefined }]] = Object.entries(answer.content ?? {});
  const inner = good && schema !== undefined ? objectIn(document, schema) : null;
  const headers = Object.entries(answer.headers ?? {});
  return (
    <>
      <p class="answer-head">
        <span class={`status ${good ? "good" : "bad"}`}>{status}</span>
        <span>
          <Text of={answer.description} />
        </span>
      </p>
      {good && (inner !== null || headers.length > 0) && (
        <details>
          <summary>
            {schema === undefined ? "Headers" : typeOf(schema)}
            {kind !== "" && kind !== "application/json" && ` (${kind})`}
          </summary>
          {headers.length > 0 && (
            <ul class="members">
              {headers.map(([name, { description }]) => (
                <li key={name}>
                  <p class="member-head">
                    <code class="member-name">{name}</code>
                    <span class="type">header</span>
                  </p>
                  {description !== undefined && (
                    <p class="member-text">
                      <Text of={description} />
                    </p>
                  )}
                </li>
              ))}
            </ul>
          )}
          {inner !== null && <Members document={document} schema={inner} />}
        </details>
      )}
    </>
  );
}
