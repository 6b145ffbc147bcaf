// What may go on a bill, found as somebody types: the merchant's own list first, then entries of the
// area's catalogue that the list does not sell. The catalogue knows no price: the counter gives it.

import { lookUrl, read } from "./calls.js";

const MOST = 12;

export class ItemSearch {
  /** Items that a text may mean, the likeliest first; an earlier search that is still under way ends. */
  async find(query) {
    this.asked?.abort();
    this.asked = new AbortController();
    const [own, entries] = await Promise.all(
      ["items", "catalogue"].map(async (name) => (await look(name, query, this.asked.signal)).items),
    );
    const sold = new Set(own.map((item) => item.national_code));
    const others = entries.filter((entry) => !sold.has(entry.national_code)).map(asItem);
    return [...own, ...others].slice(0, MOST);
  }

  /** What the list sells an entry as, under whatever name; the entry itself when it does not. */
  async sold(entry) {
    const { items } = await look("items", entry.national_code);
    const own = items.filter((item) => item.national_code === entry.national_code);
    return own.length ? own : [entry];
  }
}

function look(name, query, signal) {
  return read(lookUrl(name, { query, limit: MOST }), { signal });
}

function asItem(entry) {
  return {
    code: "",
    national_code: entry.national_code,
    barcode: entry.barcode,
    name: entry.name,
    spec: [entry.specification, entry.manufacturer].filter(Boolean).join(" · "),
    restricted: entry.restricted_use,
    unit: "",
    unit_price: "",
    mapped: true,
  };
}
