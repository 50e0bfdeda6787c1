// What a person with low vision, a keyboard or a screen reader would trip over on a page, as sentences (WCAG 2.2 AA).
() => {
  const found = [];
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const backdrop = (element) => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  const seen = (element) => element.checkVisibility() && element.getClientRects().length > 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !seen(element) || element.closest(".unseen, progress, title")) continue;
    const style = getComputedStyle(element);
    const ink = channels(element.closest("svg") ? style.fill : style.color);
    const [low, high] = [luminance(ink), luminance(backdrop(element))].sort((a, b) => a - b);
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < least) found.push(`contrast ${ratio.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  const named = (element) => element.getAttribute("aria-label") || element.textContent.trim() ||
    [...(element.labels || [])].some((label) => label.textContent.trim());
  const controls = "a, button, input:not([type=hidden]), textarea, select, summary, audio";
  for (const element of document.querySelectorAll(controls)) {
    if (seen(element) && !named(element)) found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
  }
  for (const image of document.querySelectorAll("img:not([alt])")) found.push(`no alt: ${image.src}`);
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((each) => Number(each.tagName[1]));
  levels.forEach((level, at) => { if (level > (levels[at - 1] ?? 0) + 1) found.push(`heading ${at} skips a level`); });
  if (document.querySelectorAll("main").length !== 1) found.push("not one main");
  return found;
}
