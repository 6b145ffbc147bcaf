// What every page does: say when the browser keeps the camera off.

const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
document.getElementById("insecure").hidden = globalThis.isSecureContext || local;
