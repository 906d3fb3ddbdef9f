// A form that is posted twice by a double click is posted once: forms with data-once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !("once" in form.dataset)) return;
  if (form.getAttribute("aria-busy") === "true") {
    event.preventDefault();
    return;
  }
  form.setAttribute("aria-busy", "true");
});
// The page may come back from the browser's memory, as it was left.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) form.removeAttribute("aria-busy");
});
