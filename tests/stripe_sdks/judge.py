"""The official Python SDK as the client of our fake Stripe: what the SDK makes of its answers is what Stripe's would be."""

import json
import sys
import urllib.request

import stripe

base = sys.argv[1]
client = stripe.StripeClient("sk_test_fake", base_addresses={"api": base}, max_network_retries=0)
order = {
    "mode": "payment",
    "success_url": "https://toki.example/orders/1",
    "client_reference_id": "order-py",
    "metadata": {"order_id": "order-py"},
    "payment_intent_data": {"metadata": {"order_id": "order-py"}},
    "invoice_creation": {"enabled": True},
    "line_items": [
        {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Starter"}}}
    ],
}


def fake(path, data=b"", headers=None):
    return urllib.request.urlopen(urllib.request.Request(f"{base}/fake/{path}", data=data, headers=headers or {}))


def refused(kind, code, act):
    try:
        act()
    except kind as error:
        assert error.code == code, (error.code, code)
        return
    raise AssertionError(f"not refused: {code}")


sessions = client.v1.checkout.sessions
session = sessions.create(order, {"idempotency_key": "py-1"})
assert (session.object, session.status, session.payment_status, session.amount_total) == ("checkout.session", "open", "unpaid", 500)
again = sessions.create(order, {"idempotency_key": "py-1"})
assert again.id == session.id and again.last_response.headers["idempotent-replayed"] == "true"
refused(stripe.IdempotencyError, None, lambda: sessions.create({**order, "client_reference_id": "x"}, {"idempotency_key": "py-1"}))
refused(stripe.InvalidRequestError, "parameter_unknown", lambda: sessions.create({**order, "colour": "red"}))
refused(stripe.InvalidRequestError, "resource_missing", lambda: sessions.retrieve("cs_none"))
stranger = stripe.StripeClient("sk_test_other", base_addresses={"api": base}, max_network_retries=0)
refused(stripe.AuthenticationError, None, lambda: stranger.v1.checkout.sessions.retrieve(session.id))

# A failure that passes is one for whoever does not try again.
patient = stripe.StripeClient("sk_test_fake", base_addresses={"api": base}, max_network_retries=1)
fake("fail_read/503")
refused(stripe.APIError, None, lambda: sessions.retrieve(session.id))
fake("fail_read/503")
assert patient.v1.checkout.sessions.retrieve(session.id).id == session.id

fake(f"pay/{session.id}")
paid = sessions.retrieve(session.id)
assert (paid.status, paid.payment_status) == ("complete", "paid")
assert client.v1.invoices.retrieve(paid.invoice).status == "paid"
payment = client.v1.payment_intents.retrieve(paid.payment_intent)
assert (payment.status, payment.metadata["order_id"]) == ("succeeded", "order-py")

with fake("event") as answer:
    body, signature = answer.read().decode(), answer.headers["stripe-signature"]
event = client.construct_event(body, signature, "whsec_fake_0123456789abcdef")
assert (event.type, event.data.object.id) == ("checkout.session.completed", session.id)
refused(stripe.SignatureVerificationError, None, lambda: client.construct_event(body + " ", signature, "whsec_fake_0123456789abcdef"))

part = client.v1.refunds.create({"payment_intent": payment.id, "amount": 200, "metadata": {"refund_id": "r1"}}, {"idempotency_key": "py-2"})
assert (part.status, part.amount, part.metadata["refund_id"]) == ("succeeded", 200, "r1")
refused(stripe.InvalidRequestError, None, lambda: client.v1.refunds.create({"payment_intent": payment.id, "amount": 301}))
client.v1.refunds.create({"payment_intent": payment.id})
refused(stripe.InvalidRequestError, "charge_already_refunded", lambda: client.v1.refunds.create({"payment_intent": payment.id}))
assert client.v1.charges.retrieve(payment.latest_charge).refunded

kinds = [event.type for event in client.v1.events.list({"limit": 2, "types": ["refund.created", "charge.refunded"]}).auto_paging_iter()]
assert kinds[:4] == ["refund.created", "charge.refunded", "refund.created", "charge.refunded"], kinds
customer = client.v1.customers.create({"email": "ada@example.com"})
assert client.v1.customers.retrieve(customer.id).email == "ada@example.com"
assert sessions.create({**order, "customer": customer.id}).customer == customer.id
refused(stripe.InvalidRequestError, None, lambda: sessions.create({**order, "customer": customer.id, "customer_email": "a@b.c"}))
assert client.v1.customers.delete(customer.id).deleted and client.v1.customers.retrieve(customer.id).deleted
refused(stripe.InvalidRequestError, "resource_missing", lambda: sessions.create({**order, "customer": customer.id}))
expired = sessions.expire(sessions.create(order).id)
assert expired.status == "expired" and expired.url is None
refused(stripe.InvalidRequestError, None, lambda: sessions.expire(expired.id))

# A bank that refuses days later: the session stays as it is, its payment says so.
begun = sessions.create({**order, "client_reference_id": "order-py-bank"})
fake(f"begin/{begun.id}")
begun = sessions.retrieve(begun.id)
assert (begun.status, begun.payment_status) == ("complete", "unpaid")
payment = client.v1.payment_intents.retrieve(begun.payment_intent)
assert (payment.object, payment.status, payment.amount, payment.amount_received) == ("payment_intent", "processing", 500, 0)
fake(f"refuse/{begun.id}")
payment = client.v1.payment_intents.retrieve(payment.id)
assert (payment.status, payment.last_payment_error.code) == ("requires_payment_method", "payment_intent_payment_attempt_failed")
assert sessions.retrieve(begun.id).payment_status == "unpaid"
assert [listed.id for listed in client.v1.payment_intents.list({"limit": 1}).data] == [payment.id]
print(json.dumps({"sdk": f"stripe-python {stripe.VERSION}"}))
