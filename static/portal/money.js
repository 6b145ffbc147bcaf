// Amounts are integer fen. Quantities and unit prices are decimal texts and are multiplied as whole
// numbers: floating point would lose a fen sooner or later.

/** 123456 as ¥1,234.56, and -5 as -¥0.05. */
export function yuan(fen) {
  const sign = fen < 0 ? "-" : "";
  const whole = Math.floor(Math.abs(fen) / 100);
  const rest = String(Math.abs(fen) % 100).padStart(2, "0");
  return `${sign}¥${whole.toLocaleString("en-US")}.${rest}`;
}

/** A decimal text as a whole number of 10^-places, or null when it is not of that form. */
export function scaled(text, places) {
  const match = /^(\d{1,9})(?:\.(\d+))?$/.exec(text.normalize("NFKC").trim());
  if (!match || (match[2] ?? "").length > places) return null;
  return BigInt(match[1] + (match[2] ?? "").padEnd(places, "0"));
}

/** Quantity (at most 4 places) times unit price in yuan (at most 6) in fen, half a fen up; or null. */
export function lineFen(quantity, unitPrice) {
  const q = scaled(quantity, 4);
  const p = scaled(unitPrice, 6);
  if (q === null || p === null || q === 0n) return null;
  const divisor = 10n ** 8n;
  return Number((q * p + divisor / 2n) / divisor);
}

/** A whole number of ten-thousandths as decimal text: 15000n is "1.5". */
export function quantityText(e4) {
  const digits = String(e4).padStart(5, "0");
  return `${digits.slice(0, -4)}.${digits.slice(-4)}`.replace(/\.?0+$/, "");
}

/** Fen as an amount field shows it: 1250 is "12.50". */
export const plainYuan = (fen) => `${Math.floor(fen / 100)}.${String(fen % 100).padStart(2, "0")}`;

/**
 * What comes back in fen with so many ten-thousandths of a settled line's quantity; null for more than
 * is left. Worked out from the whole line, as the server does, so that no order of parts ends on
 * another fen.
 */
export function fenBack(line, e4) {
  const whole = scaled(line.quantity, 4);
  const left = scaled(line.remaining_quantity, 4);
  if (e4 > left) return null;
  if (e4 === left) return line.remaining_fen;
  const kept = (part) => Number((2n * BigInt(line.amount_fen) * part + whole) / (2n * whole));
  const back = kept(left) - kept(left - e4);
  return back > line.remaining_fen ? null : back;
}

/** What is left of a settlement, in fen; one that was just made has nothing returned yet. */
export const left = (settlement) => settlement.total_fen - (settlement.refunded_fen ?? 0);
