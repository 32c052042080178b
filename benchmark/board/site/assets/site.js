// What every page has: the theme's button, and buttons that copy a command.
"use strict";
(function () {
  const button = document.getElementById("theme");
  function label() {
    const dark = document.documentElement.dataset.theme === "dark";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Change to light colours" : "Change to dark colours");
  }
  button.hidden = false;
  button.addEventListener("click", () =>
    window.ferbenchTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  document.addEventListener("themechange", label);
  label();

  for (const each of document.querySelectorAll("[data-copy]")) {
    each.hidden = false;
    each.addEventListener("click", () => {
      const source = document.getElementById(each.dataset.copy);
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      // A page that was opened from disk may have no clipboard; then the text is at least selected.
      const copied = navigator.clipboard ? navigator.clipboard.writeText(source.textContent) : Promise.reject();
      copied.then(() => { each.textContent = "Copied"; }, () => { each.textContent = "Selected"; });
    });
  }
})();
