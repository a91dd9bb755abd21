// The page at /studio.
import { render } from "preact";
import "./style/base.css";
import "./style/controls.css";
import "./style/studio.css";
import { App } from "./app";
import "./theme";

render(<App />, document.getElementById("app")!);
