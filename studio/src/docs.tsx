import { render } from "preact";
import "./style/base.css";
render(<main>Kinora API</main>, document.getElementById("app")!);
