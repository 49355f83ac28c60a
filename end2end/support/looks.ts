// How a page looks and is laid out, as a browser says.
import type { Locator, Page } from "@playwright/test";

/** Opens all that folds, or folds it again. */
export async function unfold(page: Page, open = true) {
  await page.evaluate((open) => document.querySelectorAll("details").forEach((details) => (details.open = open)), open);
}

/** By how many pixels the page can be scrolled sideways. */
export function sideways(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** The labels that stand before nothing, in the cards that rows are where it is narrow. */
export function emptyLabels(page: Page): Promise<string[]> {
  return page.locator("td[data-label]").evaluateAll((cells) => {
    const empty = cells.filter((cell) => cell.checkVisibility() && !cell.textContent!.trim());
    return empty.filter((cell) => getComputedStyle(cell, "::before").content !== "none").map((cell) => cell.getAttribute("data-label")!);
  });
}

/** What stands out of its cell at a side, over the next one or under it. What floats, as a menu, does not count. */
export function standsOut(page: Page): Promise<string[]> {
  return page.locator("td").evaluateAll((cells) => {
    const floats = (part: Element) => part.closest("dialog, [popover], .menu") !== null || getComputedStyle(part).position === "absolute";
    const parts = (cell: Element) => Array.from(cell.querySelectorAll("*")).filter((part) => part.checkVisibility() && !floats(part));
    return cells.filter((cell) => cell.checkVisibility()).flatMap((cell) => {
      const { left, right } = cell.getBoundingClientRect();
      const out = parts(cell).map((part) => ({ part, box: part.getBoundingClientRect() })).filter(({ box }) => box.width > 1);
      return out.filter(({ box }) => box.left < left - 1 || box.right > right + 1).map(({ part }) => part.outerHTML.slice(0, 80));
    });
  });
}

/** What a property comes to on a thing, or on a part of it, as `::after`. */
export function style(thing: Locator, property: string, part?: string): Promise<string> {
  const wanted = [property, part ?? ""] as const;
  return thing.evaluate((element, [property, part]) => getComputedStyle(element, part || null).getPropertyValue(property), wanted);
}

/** What is wrong with how the parts of a section lie, a line a fault. Boxes are measured by each other, so any fonts will do. */
export function faults(section: Locator): Promise<string[]> {
  return section.evaluate((section) => {
    // WCAG 2.2, 2.5.8.
    const LEAST = 24;
    // The browser rounds.
    const SLACK = 1;
    const said = (part: Element) => `${part.localName}.${part.getAttribute("class") ?? ""} “${part.textContent!.trim().slice(0, 30)}”`;
    const box = (part: Element) => part.getBoundingClientRect();
    // What is only read out is clipped to nothing.
    const shown = (part: Element) => part.checkVisibility({ visibilityProperty: true }) && getComputedStyle(part).clipPath === "none";
    /** The boxes right inside a part: those of its children, and of their children where they have none. Drawings have no parts. */
    const boxesIn = (part: Element): Element[] => {
      const inside = (child: Element) => (getComputedStyle(child).display === "contents" ? boxesIn(child) : shown(child) ? [child] : []);
      return part.matches("svg, select") ? [] : Array.from(part.children).flatMap(inside);
    };
    const partsOf = (part: Element): Element[] => boxesIn(part).flatMap((child) => [child, ...partsOf(child)]);
    const parts = partsOf(section);
    const faults: string[] = [];

    const beyond = section.scrollWidth - section.clientWidth;
    if (beyond > SLACK) faults.push(`the section overflows by ${beyond} px`);
    for (const part of parts) {
      if (box(part).left < box(section).left - SLACK) faults.push(`${said(part)} begins left of the section`);
      const { overflowX, textOverflow } = getComputedStyle(part);
      const clips = part instanceof HTMLElement && ["hidden", "clip"].includes(overflowX) && textOverflow !== "ellipsis";
      if (clips && part.textContent && part.scrollWidth > part.clientWidth + SLACK) faults.push(`${said(part)} is cut off`);
    }

    for (const parent of [section, ...parts]) {
      // Lines may have more than one box, and what is placed over others is meant to be there; so is what a grid has in the same cell.
      const inFlow = boxesIn(parent).map((part) => ({ part, style: getComputedStyle(part), box: box(part) }));
      const siblings = inFlow.filter(({ style }) => style.display !== "inline" && !["absolute", "fixed"].includes(style.position));
      const cell = (style: CSSStyleDeclaration) => `${style.gridRowStart} / ${style.gridColumnStart}`;
      for (const [n, one] of siblings.entries()) {
        for (const other of siblings.slice(n + 1)) {
          const across = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
          const down = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
          const meant = one.style.gridRowStart !== "auto" && cell(one.style) === cell(other.style);
          if (across > SLACK && down > SLACK && !meant) faults.push(`${said(one.part)} and ${said(other.part)} overlap`);
        }
      }
    }

    for (const control of Array.from(section.querySelectorAll("a[href], button, input, select, textarea, summary"))) {
      // What is ticked is as large as its label.
      const ticked = control instanceof HTMLInputElement && ["checkbox", "radio"].includes(control.type);
      const target = (ticked && control.labels?.[0]) || control;
      // A link in a line is as high as that, which WCAG allows; axe sees how far those that stand alone are from others.
      if (!parts.includes(target) || getComputedStyle(target).display === "inline") continue;
      const { width, height } = box(target);
      if (Math.min(width, height) < LEAST) faults.push(`${said(target)} is only ${width} × ${height} px large`);
    }
    return faults;
  });
}

/** How many colours there are in the picture of a part. */
export async function colours(part: Locator): Promise<number> {
  const picture = (await part.screenshot()).toString("base64");
  return part.page().evaluate(async (picture) => {
    const bytes = Uint8Array.from(atob(picture), (byte) => byte.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d")!;
    context.drawImage(image, 0, 0);
    return new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer)).size;
  }, picture);
}
