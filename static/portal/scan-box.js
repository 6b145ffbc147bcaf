// The place where a citizen's code is scanned: a field for USB scanners, a camera for the others, and
// one line that says what happened. What was scanned by mistake never leaves the page.

import { Intent } from "./calls.js";
import { Camera, cameraAllowed } from "./camera.js";
import { part, say } from "./dom.js";
import { kindOf, plain } from "./evidence.js";
import { Wedge } from "./wedge.js";

// Refusals that name what is wrong with a code and leave open what to do.
const SAYS_NO_NEXT_STEP = new Set(["code_malformed", "code_signature_invalid", "code_from_the_future"]);

export class ScanBox {
  /** `accepted(scan)` is called with the server's answer to a scan for `use`. */
  constructor(root, { use, accepted }) {
    this.root = root;
    this.use = use;
    this.accepted = accepted;
    this.line = part(root, "state");
    this.input = part(root, "input");
    this.button = part(root, "camera-button");
    this.view = part(root, "camera");
    this.busy = false;
    this.camera = new Camera(part(root, "video"));
    this.input.wedge = new Wedge(this.input, (text) => this.take(text));
    this.button.disabled = !cameraAllowed();
    this.button.addEventListener("click", () => this.toggle());
  }

  focus() {
    this.input.focus();
  }

  reset() {
    this.#stop();
    this.input.wedge.clear();
    say(this.line, "");
  }

  async toggle() {
    if (this.camera.running) return this.#stop();
    this.view.hidden = false;
    this.button.textContent = gettext("Stop the camera");
    try {
      await this.camera.start((text) => {
        // The camera also sees packs lying about: only something meant as a code counts here.
        if (kindOf(plain(text)) !== "barcode") this.take(text);
      });
    } catch {
      this.#stop();
      say(this.line, gettext("The camera is off or not allowed. Allow it in the browser, or use a USB scanner."), "warn");
    }
  }

  /** Judge a scanned text and send it if it may leave the page. */
  async take(raw) {
    if (this.busy) return;
    const text = plain(raw);
    const kind = kindOf(text);
    if (kind === "payment") {
      return say(this.line, gettext("That is a payment code. It was not sent. Ask for the medical insurance code."), "bad");
    }
    if (kind === "barcode") {
      return say(this.line, gettext("That is the bar code of a pack. Scan the citizen's code here; packs go into the item field."), "warn");
    }
    if (kind === "other") {
      return say(this.line, gettext("That is not a medical insurance code. Ask for the code on the phone and scan again."), "warn");
    }
    this.busy = true;
    say(this.line, gettext("Checking the code…"));
    const type = kind === "national" ? "national_code" : "voucher_code";
    const intent = new Intent("scan", { evidence: { type, value: text }, use: this.use });
    try {
      const scan = await intent.send({ doubt: (words) => say(this.line, words, "warn") });
      this.#stop();
      say(this.line, "");
      this.accepted(scan);
    } catch (error) {
      const hint = SAYS_NO_NEXT_STEP.has(error.code)
        ? ` ${gettext("Ask for a fresh code and scan again.")}`
        : "";
      say(this.line, error.message + hint, "bad");
      this.focus();
    } finally {
      this.busy = false;
    }
  }

  #stop() {
    this.camera.stop();
    this.view.hidden = true;
    this.button.textContent = gettext("Use the camera");
  }
}
