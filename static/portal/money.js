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
