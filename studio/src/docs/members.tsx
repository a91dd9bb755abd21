// The members of an object, with their types and bounds; objects inside unfold.
import { boundsOf, objectIn, typeOf, type Document, type Schema } from "./document";
import { Text } from "./text";

export function Members({ document, schema }: { document: Document; schema: Schema }) {
  const required = new Set(schema.required ?? []);
  return (
    <ul class="members">
      {Object.entries(schema.properties ?? {}).map(([name, member]) => (
        <Member key={name} document={document} name={name} schema={member} required={required.has(name)} />
      ))}
    </ul>
  );
}

interface Props {
  document: Document;
  name: string;
  schema: Schema;
  required: boolean;
  description?: string | undefined;
}

export function Member({ document, name, schema, required, description = schema.description }: Props) {
  const inner = objectIn(document, schema);
  return (
    <li>
      <p class="member-head">
        <code class="member-name">{name}</code>
        <span class="type">{typeOf(schema)}</span>
        {required && <span class="required">required</span>}
        {boundsOf(document, schema).map((bound) => (
          <span class="bound" key={bound}>
            {bound}
          </span>
        ))}
        {schema.default !== undefined && (
          <span class="bound">
            default <code>{JSON.stringify(schema.default)}</code>
          </span>
        )}
      </p>
      {description !== undefined && (
        <p class="member-text">
          <Text of={description} />
        </p>
      )}
      {inner !== null && (
        <details>
          <summary>Members of {name}</summary>
          <Members document={document} schema={inner} />
        </details>
      )}
    </li>
  );
}
