// What operators see that customers do not: payments that fit no order, and what they decide about them.
import { randomUUID } from "node:crypto";
import { expectNoViolations } from "../support/axe.ts";
import { expect, test } from "../support/fixtures.ts";
import { sideways } from "../support/looks.ts";
import { psql } from "../support/server.ts";
import { existingCustomer, orderPackage, signIn } from "../support/steps.ts";

test("an operator looks at a payment that fits no order, and dismisses it", async ({ page, javaScriptEnabled }) => {
  const [db, operator, event] = [process.env.E2E_DATABASE_URL!, existingCustomer(), `evt_${randomUUID()}`];
  psql(db, `UPDATE users SET operator = true WHERE email = '${operator.email}'`);
  await signIn(page, operator);
  await orderPackage(page);
  // As a provider that is mistaken would have told it.
  psql(
    db,
    `INSERT INTO payment_events (provider, event_id, event_type, payload)
     VALUES ('sandbox', '${event}', 'checkout.session.completed', '{"id": "${event}", "data": {"object": {"amount_total": 499}}}');
     INSERT INTO payment_event_outcomes (provider, event_id, outcome, reason, order_id)
     SELECT 'sandbox', '${event}', 'quarantined', 'the amount is 499, the order''s 500', o.order_id
       FROM orders o JOIN users USING (user_id) WHERE email = '${operator.email}'`,
  );
  await page.goto("/wallet");
  const banner = page.getByRole("complementary", { name: "Payments that fit no order" });
  await banner.getByRole("link", { name: "Look at them" }).click();
  await expect(page.getByRole("heading", { name: "Payments that fit no order", level: 1 })).toBeVisible();
  const card = page.getByRole("region", { name: event });
  await expect(card).toContainText(operator.email);
  await card.getByText("All that the provider said").click();
  await expect(card.getByRole("region", { name: "Event" })).toContainText('"amount_total": 499');
  for (const language of javaScriptEnabled ? ["zh-Hans", "en"] : []) {
    await page.context().addCookies([{ name: "language", value: language, url: process.env.E2E_URL! }]);
    await page.reload();
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      expect.soft(await sideways(page), `scrolls sideways, ${language}, ${width} px`).toBeLessThanOrEqual(0);
      await expectNoViolations(page, `/operator/payments, ${language}, ${width} px`);
      await page.screenshot({ path: `screenshots-out/operator-payments-${width}-${language}.png`, fullPage: true });
    }
  }
  await card.getByLabel("Reason").fill("Paid back at the provider.");
  await card.getByRole("button", { name: "Dismiss" }).click();
  await expect(page.getByRole("status")).toHaveText(`${event}: Dismissed.`);
  await expect(card).toHaveCount(0);
  await expect(page.getByRole("row", { name: event })).toContainText("Paid back at the provider.");
});
