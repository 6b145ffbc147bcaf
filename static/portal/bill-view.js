// How a bill's answer is shown: who pays what, line by line and why. It draws and knows no act.

import { h } from "./dom.js";
import { yuan } from "./money.js";
import { payer, reason } from "./words.js";

/** Who pays what, cash last and largest. */
export function shareList(answer) {
  const shares = answer.shares.filter((share) => share.payer !== "cash");
  const row = (name, fen, kind = "") =>
    h("div", { class: `share ${kind}` }, h("dt", {}, payer(name)), h("dd", {}, yuan(fen)));
  for (const always of ["pool", "account"]) {
    if (!shares.some((share) => share.payer === always)) {
      shares.push({ payer: always, amount_fen: always === "pool" ? answer.pool_fen : answer.account_fen });
    }
  }
  const order = ["pool", "account"];
  shares.sort((a, b) => rank(order, a.payer) - rank(order, b.payer));
  return h(
    "dl",
    { class: "shares" },
    shares.map((share) => row(share.payer, share.amount_fen)),
    row("cash", answer.cash_fen, "cash"),
  );
}

// Funds first, then the person's own account, then what relatives add to it.
const LAST = { account: 99, relative_account: 100 };
const rank = (order, name) => LAST[name] ?? (order.includes(name) ? order.indexOf(name) : 50);

/** What a package pays the hospital, where it leaves the shares of the bill alone. */
export function hospitalPayment(answer) {
  const fen = answer.hospital_payment_fen;
  if (fen === null || fen === undefined) return null;
  return h(
    "p",
    { class: "note", "data-part": "hospital-payment" },
    interpolate(gettext("For this package the hospital is paid %s by the fund. It does not change who pays the bill."), [yuan(fen)]),
  );
}

export function lineList(answer) {
  return h(
    "ul",
    { class: "bill-lines" },
    (answer.lines ?? []).map((line) =>
      h(
        "li",
        {},
        h("div", { class: "row-head" }, h("span", {}, line.name), h("span", { class: "num-cell" }, yuan(line.amount_fen))),
        h(
          "p",
          { class: "small muted" },
          `${gettext("in range")} ${yuan(line.in_range_fen ?? 0)}`,
          line.reason || line.mapped === false
            ? ` · ${line.mapped === false ? reason("unmapped") : reason(line.reason)}`
            : "",
        ),
      ),
    ),
  );
}

export function explanation(answer) {
  if (!answer.explanation?.length) return null;
  return h(
    "details",
    { open: true },
    h("summary", {}, gettext("How this was worked out")),
    h("ul", { class: "small" }, answer.explanation.map((sentence) => h("li", {}, sentence))),
  );
}

/** A refund's answer names shares only; the panel wants the three sums too. */
export function sums(refund) {
  const of = (name) => refund.shares.find((share) => share.payer === name)?.amount_fen ?? 0;
  return { pool_fen: of("pool"), account_fen: of("account"), cash_fen: of("cash") };
}
