// What the parts of the page share: the socket to the studio, and who is told of what comes through it.

import { Connection } from "./connection.js";

export class Hub {
  constructor() {
    this.listeners = new Map();
  }

  // then(message) is called for messages of a type, then(header, parts) for pictures of a kind.
  on(type, then) {
    if (!this.listeners.has(type)) this.listeners.set(type, []);
    this.listeners.get(type).push(then);
  }

  // From here on everything that the studio tells is heard; parts that come later would miss it.
  connect(online) {
    this.connection = new Connection({
      message: (value) => this.tell(value.type, value),
      pictures: (header, parts) => this.tell(header.kind, header, parts),
      online,
    });
  }

  tell(type, ...values) {
    for (const then of this.listeners.get(type) ?? []) then(...values);
  }

  // A picture with a header, as pictures come from the studio.
  sendPicture(header, data) {
    this.connection.sendPicture(header, data);
  }

  send(message) {
    this.connection.send(message);
  }
}
