// A USB scanner is a keyboard that types digits and Enter. Keys are read by their place on the board
// (`event.code`), because with a French layout or a Chinese input method the characters differ while
// the places do not.

const PLACE = /^(?:Digit|Numpad)(\d)$/;
const CODE_DIGITS = 254;
const IDLE_MS = 3000;
const BURST_MS = 80;
const editable = (element) => element?.closest?.("input, textarea, select, [contenteditable]");

/** The digit a key event stands for by its place, or "". */
export function digitOf(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return "";
  return PLACE.exec(event.code ?? "")?.[1] ?? "";
}

export class Wedge {
  /**
   * Reads `input`; `done(text)` is called once for each scan, and the field clears itself. With `keeps`
   * what was typed by hand stays until it is sent.
   */
  constructor(input, done, { keeps = false } = {}) {
    this.input = input;
    this.keeps = keeps;
    this.done = done;
    // What was typed before this ran is half a scan.
    this.clear();
    input.addEventListener("keydown", (event) => this.#key(event));
    // Scanners that paste, and screens that dictate, fire no usable key events.
    input.addEventListener("input", () => {
      this.digits = input.value;
      this.#later();
    });
  }

  clear() {
    this.digits = "";
    this.input.value = "";
    clearTimeout(this.idle);
  }

  /** Take one digit, wherever it was typed. */
  take(digit) {
    this.digits += digit;
    this.input.value = this.digits;
    this.#later();
  }

  submit() {
    const text = this.digits;
    this.clear();
    if (text || this.keeps) this.done(text);
  }

  #key(event) {
    const digit = digitOf(event);
    if (digit) {
      event.preventDefault();
      this.take(digit);
    } else if (event.key === "Enter" || event.code === "Enter" || event.code === "NumpadEnter") {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape") {
      this.clear();
    } else if (event.key === "Backspace") {
      event.preventDefault();
      this.digits = this.digits.slice(0, -1);
      this.input.value = this.digits;
    }
  }

  #later() {
    clearTimeout(this.idle);
    // A scanner without an Enter suffix still ends; half a scan must not wait for the next one.
    if (this.digits.length === CODE_DIGITS) this.idle = setTimeout(() => this.submit(), 150);
    else if (!this.keeps) this.idle = setTimeout(() => this.clear(), IDLE_MS);
  }
}

/**
 * Let a scan land in the right field although the focus is elsewhere, and keep its Enter from pressing
 * the button that happens to have the focus. `field()` answers the input that wants scans now.
 */
export function guard(field) {
  let last = 0;
  document.addEventListener(
    "keydown",
    (event) => {
      if (editable(event.target)) return;
      if (digitOf(event)) {
        last = event.timeStamp;
        const input = field();
        if (input && !document.querySelector("dialog[open]")) {
          event.preventDefault();
          input.focus();
          if (input.wedge) input.wedge.take(digitOf(event));
          else input.value += digitOf(event);
        }
      } else if (event.key === "Enter" && event.timeStamp - last < BURST_MS) {
        event.preventDefault();
        event.stopPropagation();
      }
    },
    true,
  );
}
