// A program to look at and to take along.
import { useRef } from "preact/hooks";
import { LANGUAGES, type Language, type Request } from "../code";
import { CopyButton } from "./copy";
import { Tabs } from "./tabs";

/** One request in every language, a tab each. `id` tells the samples of a page apart. */
export function Samples({ id, request }: { id: string; request: Request }) {
  return (
    <Tabs id={id} label="Language" names={Object.keys(LANGUAGES) as Language[]}>
      {(language) => <Code text={LANGUAGES[language](request)} label={`${language} program`} />}
    </Tabs>
  );
}

export function Code({ text, label }: { text: string; label: string }) {
  const block = useRef<HTMLPreElement>(null);
  return (
    <div class="code">
      <CopyButton text={text} select={() => block.current !== null && getSelection()?.selectAllChildren(block.current)} />
      <pre ref={block} tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
    </div>
  );
}
