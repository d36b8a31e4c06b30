// Loaded before a server from npm: makes it a server as the tests want theirs, whatever port it was written for.
//
// It listens on a free port of the loopback interface and prints which one, keeps its own words to standard error, and
// ends as soon as its standard input does, so that it never outlives the tests.
import net from "node:net";

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const callbacks = args.filter((argument) => typeof argument === "function");
  this.once("listening", () => process.stdout.write(`${this.address().port}\n`));
  return listen.call(this, 0, "127.0.0.1", ...callbacks);
};

console.log = console.error;
process.stdin.once("close", () => process.exit(0)).resume();

// The SDK's example of an event store puts events in order by the millisecond in which they came, and those of one
// millisecond in any order; here no two of them share one.
const now = Date.now;
let latest = 0;
Date.now = () => (latest = Math.max(now(), latest + 1));
