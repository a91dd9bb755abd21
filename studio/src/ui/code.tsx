// A program to look at and to take along.
import { useEffect, useRef, useState } from "preact/hooks";
import { LANGUAGES, type Language, type Request } from "../code";
import { Icon } from "./icons";
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
  const [copied, setCopied] = useState(false);
  const block = useRef<HTMLPreElement>(null);
  useEffect(() => setCopied(false), [text]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      // Pages that were not served securely have no clipboard: what is selected can be copied by hand.
      if (block.current !== null) getSelection()?.selectAllChildren(block.current);
    }
  };
  return (
    <div class="code">
      <button type="button" class="plain" onClick={() => void copy()}>
        <Icon name={copied ? "check" : "copy"} />
        {copied ? "Copied" : "Copy"}
      </button>
      <pre ref={block} tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
    </div>
  );
}
