// What a scanned text is, by its shape alone. A wallet's payment code is worth money and must be
// recognised here, before it leaves the till; the shapes are those of voucher/tokens.py.

/** "code", "payment", "national", "barcode" or "other". */
export function kindOf(text) {
  if (/^\d{150,600}$/.test(text)) return "code";
  if (/^1[0-5]\d{16}$/.test(text)) return "payment";
  if (/^(?:2[5-9]|30)\d{14,22}$/.test(text)) return "payment";
  if (/^62\d{17}$/.test(text)) return "payment";
  if (/^\d{28}$/.test(text)) return "national";
  if (/^(?:\d{8}|\d{12,14})$/.test(text)) return "barcode";
  return "other";
}

/** Digits as scanners may produce them through an input method: full width becomes ASCII. */
export const plain = (text) => text.normalize("NFKC").replace(/\s+/g, "");
