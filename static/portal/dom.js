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
