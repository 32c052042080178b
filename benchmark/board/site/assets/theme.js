// Light or dark before anything is drawn: what the reader chose here, otherwise what the system asks for.
"use strict";
(function () {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  function chosen() {
    try { return localStorage.getItem("ferbench-theme"); } catch { return null; } // storage may be forbidden
  }
  function apply() {
    const dark = (chosen() || (system.matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.classList.toggle("dark", dark); // the name that DataTables knows
    document.dispatchEvent(new Event("themechange"));
  }
  window.ferbenchTheme = function (name) {
    try { localStorage.setItem("ferbench-theme", name); } catch { /* it holds for this page only */ }
    document.documentElement.dataset.theme = name;
    document.documentElement.classList.toggle("dark", name === "dark");
    document.dispatchEvent(new Event("themechange"));
  };
  system.addEventListener("change", apply);
  apply();
})();
