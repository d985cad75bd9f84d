// The socket to the studio: messages as JSON out, JSON and pictures in. It comes back by itself when it was cut.

export class Connection {
  constructor({ message, pictures, online }) {
    Object.assign(this, { message, pictures, online });
    this.waiting = 500;
    this.open();
  }

  open() {
    const address = new URL("socket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => { this.waiting = 500; this.online(true); };
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = () => {
      this.online(false);
      setTimeout(() => this.open(), this.waiting);
      this.waiting = Math.min(2 * this.waiting, 5000);
    };
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  sendPicture(header, data) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const head = new TextEncoder().encode(JSON.stringify({ ...header, sizes: [data.byteLength] }));
    const length = new DataView(new ArrayBuffer(4));
    length.setUint32(0, head.length, true);
    this.socket.send(new Blob([length, head, data]));
  }

  receive(data) {
    if (typeof data === "string") {
      this.message(JSON.parse(data));
      return;
    }
    const length = new DataView(data).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    let place = 4 + length;
    const parts = header.sizes.map((size) => {
      const part = new Blob([new Uint8Array(data, place, size)], { type: "image/jpeg" });
      place += size;
      return part;
    });
    this.pictures(header, parts);
  }
}
