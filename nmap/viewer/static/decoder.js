// The worker as promises.

/** Sends work to a worker made from the text of its script. */
export class Decoder {
  constructor(script) {
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.waiting = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = (event) => {
      this.broken = new Error(`the decoder stopped: ${event.message}`);
      for (const { reject } of this.waiting.values()) reject(this.broken);
      this.waiting.clear();
    };
  }

  ask(what, more, transfer = []) {
    if (this.broken) return Promise.reject(this.broken);
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, what, ...more }, transfer);
    });
  }

  settle({ id, answer, failure }) {
    const { resolve, reject } = this.waiting.get(id) ?? {};
    this.waiting.delete(id);
    if (failure) reject?.(Object.assign(new Error(failure.message), { name: failure.name }));
    else resolve?.(answer);
  }
}
