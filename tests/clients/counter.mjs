// Counts requests on two ways: from the clients to us, and from us to the supplier, where the first part of the path only tells channels
// apart. Passes both on untouched; `GET /-/requests` on either says how many there were. Prints the addresses of both, and one where
// nothing listens.
//
//   node counter.mjs ADDRESS-OF-THE-SERVER
import http from "node:http";
import { pipeline } from "node:stream";

const server = process.argv[2];
const requests = { gateway: 0, supplier: 0 };

const through = (way) => (request, response) => {
  if (request.url === "/-/requests") {
    response.end(JSON.stringify(requests));
    return;
  }
  requests[way] += 1;
  const { method, headers } = request;
  const path = way === "supplier" ? request.url.replace(/^\/[^/]+/, "") : request.url;
  const onward = http.request(new URL(path, server), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    // What is cut on one side is cut on the other.
    pipeline(answer, response, () => {});
  });
  pipeline(request, onward, (error) => error && response.destroy());
};

const listening = async (handler) => {
  const listener = http.createServer(handler);
  await new Promise((done) => listener.listen(0, "127.0.0.1", done));
  return [listener, `http://127.0.0.1:${listener.address().port}`];
};

const [[, gateway], [, supplier], [gone, nobody]] = await Promise.all([through("gateway"), through("supplier"), undefined].map(listening));
gone.close();
console.log(JSON.stringify({ gateway, supplier, nobody }));
