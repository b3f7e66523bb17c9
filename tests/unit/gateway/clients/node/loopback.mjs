// Sockets reach this machine only, as in the tests themselves.
import net from "node:net";

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  const [options] = given.flat();
  const host = options?.host ?? options?.hostname ?? (options?.path === undefined ? "localhost" : "");
  if (!["127.0.0.1", "::1", "localhost", ""].includes(host)) throw new Error(`a client connected to ${host}`);
  return connect.apply(this, given);
};
