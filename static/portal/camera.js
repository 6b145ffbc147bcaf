// The camera as a scanner. Frames are read by zxing-wasm in a worker, one at a time, so that the page
// stays quick on a slow tablet.

const WIDTH = 1280;

/** Whether this page may use a camera at all: browsers give it to secure contexts only. */
export const cameraAllowed = () => globalThis.isSecureContext && !!navigator.mediaDevices;

export class Camera {
  constructor(video) {
    this.video = video;
    this.canvas = document.createElement("canvas");
    this.running = false;
  }

  /** Show the camera and call `found(text)` for each reading until `stop`. Throws what the browser throws. */
  async start(found) {
    if (this.running) return;
    this.running = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "environment", width: { ideal: WIDTH } },
        audio: false,
      });
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.stop();
      throw error;
    }
    this.worker = new Worker(new URL("./camera-worker.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", ({ data }) => {
      if (!this.running) return;
      if (data.text) found(data.text);
      if (this.running) this.#next();
    });
    this.#next();
  }

  stop() {
    this.running = false;
    this.worker?.terminate();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
    this.stream = null;
  }

  #next() {
    this.video.requestVideoFrameCallback(() => {
      const { videoWidth: width, videoHeight: height } = this.video;
      if (!this.running || !width) return;
      this.canvas.width = width;
      this.canvas.height = height;
      const context = this.canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(this.video, 0, 0);
      const { data } = context.getImageData(0, 0, width, height);
      this.worker.postMessage({ pixels: data.buffer, width, height }, [data.buffer]);
    });
  }
}
