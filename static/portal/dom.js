// Small tools for building what a page shows. Texts go in as text nodes, never as markup.

/** An element with attributes and children. `on…` attributes are listeners, null ones are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The one element below `root` that carries `data-part="name"`. */
export function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

/** Say something in a status line: `kind` is "", "good", "warn" or "bad"; an empty text hides it. */
export function say(line, text, kind = "") {
  line.hidden = !text;
  line.className = `note ${kind}`;
  line.textContent = text;
}

/** Say below a field, or a group of them, what is wrong with it; an empty text takes it away. */
export function fault(field, text) {
  const line = document.getElementById(field.getAttribute("aria-describedby"));
  line.hidden = !text;
  line.textContent = text;
  if (text && field.matches("input")) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

/** A day as the API writes it, kept on one line: a hyphen is a place to break otherwise. */
export const unbroken = (day) => day.replaceAll("-", "-\u2060");

/** A time of day as the page's language writes it. */
export function timeOfDay(moment) {
  return new Date(moment).toLocaleTimeString(document.documentElement.lang, {
    timeZone: "Asia/Shanghai",
    hour: "2-digit",
    minute: "2-digit",
    hour12: false,
  });
}

/** Day and time as the page's language writes them, in Beijing time. */
export function dayAndTime(moment) {
  return new Date(moment).toLocaleString(document.documentElement.lang, {
    timeZone: "Asia/Shanghai",
    month: "numeric",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hour12: false,
  });
}
