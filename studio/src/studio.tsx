import { render } from "preact";
import "./style/base.css";
render(<main>Kinora</main>, document.getElementById("app")!);
