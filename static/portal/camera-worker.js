// Reads one frame after the other: the citizen's QR symbol, or the bar code on a pack.

import { prepareZXingModule, readBarcodes } from "../vendor/zxing-wasm-3.1.4/reader/index.js";

prepareZXingModule({
  // The library would otherwise fetch its binary from a public network.
  overrides: {
    locateFile: (name) => new URL(`../vendor/zxing-wasm-3.1.4/reader/${name}`, import.meta.url).href,
  },
});

const OPTIONS = { formats: ["QRCode", "EANUPC"], tryHarder: true, maxNumberOfSymbols: 1 };

addEventListener("message", async ({ data: { pixels, width, height } }) => {
  let text = "";
  try {
    const image = new ImageData(new Uint8ClampedArray(pixels), width, height);
    const [symbol] = await readBarcodes(image, OPTIONS);
    if (symbol?.isValid) text = symbol.text;
  } finally {
    postMessage({ text });
  }
});
