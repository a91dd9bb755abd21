// The page at /docs.
import { render } from "preact";
import "./style/base.css";
import "./style/controls.css";
import "./style/docs.css";
import { Reference } from "./docs/reference";
import "./theme";

render(<Reference />, document.getElementById("app")!);
