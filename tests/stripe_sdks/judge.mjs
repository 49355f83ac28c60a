// The official Node SDK as the client of our fake Stripe, and as the maker of signatures that our webhook must accept.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

// Where the SDK was installed to, which is not beside this file.
const [, , base, packages] = process.argv;
const Stripe = createRequire(`${packages}/`)("stripe");
const { hostname: host, port } = new URL(base);
const stripe = new Stripe("sk_test_fake", { host, port, protocol: "http", maxNetworkRetries: 0, telemetry: false });
const secret = "whsec_fake_0123456789abcdef";
const fake = (path, options = {}) => fetch(`${base}/fake/${path}`, { method: "POST", ...options });
const order = {
  mode: "payment",
  success_url: "https://toki.example/orders/2",
  client_reference_id: "order-js",
  line_items: [{ quantity: 1, price_data: { currency: "jpy", unit_amount: 2000, product_data: { name: "Starter" } } }],
};

const session = await stripe.checkout.sessions.create(order, { idempotencyKey: "js-1" });
const again = await stripe.checkout.sessions.create(order, { idempotencyKey: "js-1" });
assert.equal(again.id, session.id);
await assert.rejects(stripe.checkout.sessions.create({ ...order, client_reference_id: "x" }, { idempotencyKey: "js-1" }), {
  type: "StripeIdempotencyError",
});
const tenths = { currency: "kwd", unit_amount: 1505, product_data: { name: "Starter" } };
await assert.rejects(stripe.checkout.sessions.create({ ...order, line_items: [{ quantity: 1, price_data: tenths }] }), {
  type: "StripeInvalidRequestError",
});

// A failure that passes is one for whoever does not try again.
await fake("fail_read/503");
await assert.rejects(stripe.checkout.sessions.retrieve(session.id), { type: "StripeAPIError" });
await fake("fail_read/503");
assert.equal((await stripe.checkout.sessions.retrieve(session.id, {}, { maxNetworkRetries: 1 })).id, session.id);

await fake(`pay/${session.id}`);
const paid = await stripe.checkout.sessions.retrieve(session.id);
assert.equal(paid.payment_status, "paid");
let kind;
while (kind !== `checkout.session.completed ${session.id}`) {
  const delivery = await fake("event");
  const event = stripe.webhooks.constructEvent(await delivery.text(), delivery.headers.get("stripe-signature"), secret);
  kind = `${event.type} ${event.data.object.id}`;
}

const customer = await stripe.customers.create({ email: "ada@example.com" }, { idempotencyKey: "js-2" });
const same = await stripe.customers.create({ email: "ada@example.com" }, { idempotencyKey: "js-2" });
assert.equal(same.id, customer.id);
assert.equal((await stripe.checkout.sessions.create({ ...order, customer: customer.id })).customer, customer.id);
assert.equal((await stripe.customers.del(customer.id)).deleted, true);
await assert.rejects(stripe.checkout.sessions.create({ ...order, customer: customer.id }), { code: "resource_missing", param: "customer" });

const refund = await stripe.refunds.create({ payment_intent: paid.payment_intent, amount: 500 });
assert.equal((await stripe.refunds.retrieve(refund.id)).amount, 500);
const events = await stripe.events.list({ limit: 1, created: { gte: session.created } }).autoPagingToArray({ limit: 100 });
assert.equal(events[0].type, "refund.created");
assert.ok(events.length >= 3);

// A bank that refuses days later: the session stays as it is, its payment says so.
const { id: begun } = await stripe.checkout.sessions.create({ ...order, client_reference_id: "order-js-bank" });
await fake(`begin/${begun}`);
const { payment_intent: paying, payment_status: unpaid } = await stripe.checkout.sessions.retrieve(begun);
assert.deepEqual([(await stripe.paymentIntents.retrieve(paying)).status, unpaid], ["processing", "unpaid"]);
await fake(`refuse/${begun}`);
const refused = await stripe.paymentIntents.retrieve(paying);
assert.deepEqual([refused.status, refused.amount_received], ["requires_payment_method", 0]);
assert.equal((await stripe.checkout.sessions.retrieve(begun)).payment_status, "unpaid");
assert.equal((await stripe.paymentIntents.list({ limit: 1 })).data[0].id, paying);

const payload = JSON.stringify({ id: "evt_signed_by_the_sdk", type: "payout.paid" });
const verified = async (header, body = payload) => (await fake("verify", { headers: { "stripe-signature": header }, body })).status;
const header = stripe.webhooks.generateTestHeaderString({ payload, secret });
assert.equal(await verified(header), 200);
assert.equal(await verified(header, `${payload} `), 400);
assert.equal(await verified(stripe.webhooks.generateTestHeaderString({ payload, secret: "whsec_another_0123456789" })), 400);
const old = Math.floor(Date.now() / 1000) - 301;
assert.equal(await verified(stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp: old })), 400);
console.log(JSON.stringify({ sdk: `stripe-node ${Stripe.PACKAGE_VERSION}` }));
