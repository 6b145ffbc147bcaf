// An earlier sale by its number, to be returned: also one whose refund waits for the fund.

import { Bill } from "./bill.js";
import { lookUrl, read } from "./calls.js";
import { fault, part } from "./dom.js";

const root = document.getElementById("returns");
const form = part(root, "form");
const field = form.elements.settlement;
const bill = new Bill(part(root, "pay"), {
  body: () => "",
  locked: (busy) => {
    form.inert = busy;
  },
});

async function show() {
  if (bill.busy) return;
  fault(field, "");
  bill.reset();
  try {
    const settlement = await read(lookUrl("settlement", { settlement_id: field.value.trim() }));
    history.replaceState(null, "", `?settlement=${encodeURIComponent(settlement.settlement_id)}`);
    bill.show(settlement);
  } catch (error) {
    fault(field, error.code === "not_found" || error.code === "field_invalid" ? gettext("Your institution has no settlement of this number.") : error.message);
    field.focus();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
const named = new URLSearchParams(location.search).get("settlement") ?? "";
field.value = named.slice(0, field.maxLength);
if (!bill.resume() && field.value) show();
else field.focus();
